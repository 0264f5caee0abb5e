//! What a release says of its migrations: which they are, and what its code
//! needs of the schema (MIG-4). The predicate `https://plimsoll.dev/migrations/v1`.

use std::collections::BTreeSet;

use plimsoll_config::Migrations;
use plimsoll_evidence_migration_lint::{
    Class, Dialect, File, Layout, Needs, Options, Released, lint, schema,
};
use plimsoll_model::Failure;
use plimsoll_oci::digest_of;
use serde::{Deserialize, Serialize};

/// What is attested about an image, and kept in the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MigrationsRecord {
    /// Whose SQL it is.
    pub dialect: Dialect,
    /// The tool whose rules order the files.
    pub layout: Layout,
    /// The folder, in the commit.
    pub dir: String,
    /// Each migration, in the order in which they run.
    pub files: Vec<RecordedFile>,
    /// Tables and columns that the code was declared not to use.
    #[serde(default)]
    pub unused: BTreeSet<String>,
    /// What the code may use of the schema.
    pub needs: Needs,
}

/// One migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFile {
    /// Its path within the folder.
    pub path: String,
    /// SHA-256 of its text with line feeds, hexadecimal.
    pub checksum: String,
    /// What it does, each file judged as a release of its own.
    pub class: Class,
}

/// How migrations are judged, by the configuration.
pub(crate) fn options(configured: &Migrations) -> Options {
    Options {
        dialect: super::dialect(Some(configured)),
        layout: super::layout(configured),
        small_tables: configured.small_tables.iter().cloned().collect(),
        ..Options::default()
    }
}

impl MigrationsRecord {
    /// What the files of a release say.
    ///
    /// # Errors
    /// They are more than is read, or their order cannot be told.
    pub(crate) fn of(files: &[File], configured: &Migrations) -> Result<Self, Failure> {
        let options = Options { released: Released::EachFile, ..options(configured) };
        let report = lint(files, &options)?;
        let unused: BTreeSet<String> = configured.unused.iter().cloned().collect();
        let recorded = report.files.iter().map(|judged| RecordedFile {
            path: judged.file.clone(),
            checksum: files
                .iter()
                .find(|file| file.path == judged.file)
                .map(|file| checksum(&file.bytes))
                .unwrap_or_default(),
            class: judged.class,
        });
        Ok(Self {
            dialect: options.dialect,
            layout: report.layout,
            dir: configured.dir.display().to_string(),
            files: recorded.collect(),
            needs: schema(files, &options)?.needs(&unused),
            unused,
        })
    }

    /// Where files are not those that are recorded, in words.
    pub(crate) fn differing(&self, files: &[File]) -> Vec<String> {
        let find = |path: &str| files.iter().find(|file| file.path == path);
        self.files
            .iter()
            .filter_map(|recorded| match find(&recorded.path) {
                None => Some(format!("{} is not in the commit", recorded.path)),
                Some(file) if checksum(&file.bytes) != recorded.checksum => {
                    Some(format!("{} has another checksum", recorded.path))
                }
                Some(_) => None,
            })
            .collect()
    }
}

/// SHA-256 of a text as it is whatever the line ends, a byte order mark and line
/// ends at its end are.
pub(crate) fn checksum(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().peekable();
    while let Some(&byte) = rest.next() {
        if byte == b'\r' {
            rest.next_if(|&&next| next == b'\n');
            text.push(b'\n');
        } else {
            text.push(byte);
        }
    }
    while text.last() == Some(&b'\n') {
        text.pop();
    }
    digest_of(&text).hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_do_not_count() {
        let plain = checksum(b"SELECT 1;\nSELECT 2;\n");
        for same in [
            &b"SELECT 1;\r\nSELECT 2;\r\n"[..],
            b"SELECT 1;\rSELECT 2;",
            b"\xef\xbb\xbfSELECT 1;\nSELECT 2;\n\n",
        ] {
            assert_eq!(checksum(same), plain);
        }
        assert_ne!(checksum(b"SELECT 1; SELECT 2;"), plain);
    }
}
