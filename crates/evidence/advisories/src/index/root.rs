//! The root of an index: where everything is, and what it was made from.

use crate::source::Warning;

use super::format::{Cursor, Damaged, Table, put_bytes, put_number, put_seconds, sha256};

/// Everything of an index but its blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Root {
    /// Hash of names, sizes and times of the files it was made from.
    pub(crate) fingerprint: [u8; 32],
    pub(crate) advisories: u64,
    /// Newest `modified` of an advisory, in seconds since 1970.
    pub(crate) newest_modified: Option<i64>,
    /// Newest time of a file.
    pub(crate) newest_file: Option<i64>,
    /// Name and number of statements, by name.
    pub(crate) ecosystems: Vec<(String, u64)>,
    pub(crate) warned: u64,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) details: Table,
    pub(crate) packages: Table,
}

impl Root {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.fingerprint.to_vec();
        put_number(&mut bytes, self.advisories);
        put_seconds(&mut bytes, self.newest_modified);
        put_seconds(&mut bytes, self.newest_file);
        put_number(&mut bytes, self.ecosystems.len() as u64);
        for (name, statements) in &self.ecosystems {
            put_bytes(&mut bytes, name.as_bytes());
            put_number(&mut bytes, *statements);
        }
        put_number(&mut bytes, self.warned);
        put_number(&mut bytes, self.warnings.len() as u64);
        for warning in &self.warnings {
            put_bytes(&mut bytes, warning.file.as_bytes());
            put_bytes(&mut bytes, warning.why.as_bytes());
        }
        self.details.put(&mut bytes);
        self.packages.put(&mut bytes);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let cursor = &mut Cursor(bytes);
        let mut root = Self {
            fingerprint: cursor.array()?,
            advisories: cursor.number()?,
            newest_modified: cursor.seconds()?,
            newest_file: cursor.seconds()?,
            ..Self::default()
        };
        for _ in 0..cursor.count()? {
            root.ecosystems.push((cursor.text()?.into(), cursor.number()?));
        }
        root.warned = cursor.number()?;
        for _ in 0..cursor.count()? {
            root.warnings.push(Warning { file: cursor.text()?.into(), why: cursor.text()?.into() });
        }
        root.details = Table::get(cursor)?;
        root.packages = Table::get(cursor)?;
        if cursor.is_empty() { Ok(root) } else { Err(Damaged("its root is longer than it should be")) }
    }

    /// A hash of what the advisories say, whichever files they came in.
    pub(crate) fn content(&self) -> [u8; 32] {
        let mut bytes = Vec::new();
        for (name, _) in &self.ecosystems {
            put_bytes(&mut bytes, name.as_bytes());
        }
        for table in [&self.details, &self.packages] {
            put_number(&mut bytes, table.0.len() as u64);
            table.0.iter().for_each(|block| bytes.extend_from_slice(&block.check));
        }
        sha256(&bytes)
    }
}
