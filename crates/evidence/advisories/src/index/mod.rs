//! The index on disk: what makes a scan read kilobytes instead of gigabytes.
//!
//! # Form
//!
//! ```text
//! magic        8 bytes, with the version of the form
//! blocks       of details: one record an advisory, by its number (ids in order)
//! blocks       of packages: ecosystem and name -> number and ranges of each advisory
//! root         fingerprint of the sources, counts, ecosystems, warnings,
//!              and for each block: first key, offset, length, checksum
//! footer       offset, length and SHA-256 of the root; magic
//! ```
//!
//! Opening reads footer and root. A look-up finds the one block that can hold
//! the key by binary search in the root, reads that block alone, and compares
//! its checksum before anything in it is used. Advisories are numbered by id
//! and packages ordered by name, so the same advisories give the same blocks.
//!
//! # What can happen to it
//!
//! * Sources change: names, sizes and times of all files are hashed; another
//!   hash means that the index is built anew.
//! * It is damaged or from another version: footer, root or block does not
//!   match; it is built anew, never believed.
//! * A crash while it is written: a new file is written, synced, renamed, and
//!   the directory synced; a reader sees the old one or the new one.
//! * Two at once: each writes a file of its own; the last rename wins, and both
//!   are whole.

mod build;
mod format;
mod root;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

pub(crate) use build::Builder;
pub(crate) use format::{Cursor, Damaged, is_beginning};
pub(crate) use root::Root;

use crate::severity::{Rating, Severity};
use format::{Block, FOOTER, MAGIC, MOST_ROOT, Table};

/// An index that can be asked.
#[derive(Debug)]
pub(crate) struct Index {
    bytes: Bytes,
    pub(crate) root: Root,
}

/// Where its bytes are.
#[derive(Debug)]
enum Bytes {
    File(File),
    Memory(Vec<u8>),
}

impl Bytes {
    fn len(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len()),
            Self::Memory(bytes) => Ok(bytes.len() as u64),
        }
    }

    fn read(&self, offset: u64, len: u64) -> Result<Vec<u8>, Damaged> {
        let size = self.len().map_err(|_| Damaged("it cannot be read"))?;
        if offset.checked_add(len).is_none_or(|end| end > size) {
            return Err(Damaged("it points past its end"));
        }
        let (start, len) = (usize::try_from(offset), usize::try_from(len));
        let (Ok(start), Ok(len)) = (start, len) else { return Err(Damaged("it is too large")) };
        match self {
            Self::File(file) => {
                let mut bytes = vec![0; len];
                file.read_exact_at(&mut bytes, offset).map_err(|_| Damaged("it cannot be read"))?;
                Ok(bytes)
            }
            Self::Memory(bytes) => Ok(bytes[start..start + len].to_vec()),
        }
    }
}

impl Index {
    /// An index on disk.
    pub(crate) fn open(file: File) -> Result<Self, Damaged> {
        Self::read(Bytes::File(file))
    }

    /// An index that was written to memory.
    pub(crate) fn in_memory(bytes: Vec<u8>) -> Result<Self, Damaged> {
        Self::read(Bytes::Memory(bytes))
    }

    fn read(bytes: Bytes) -> Result<Self, Damaged> {
        let len = bytes.len().map_err(|_| Damaged("it cannot be read"))?;
        let start = len.checked_sub(FOOTER as u64).ok_or(Damaged("it is too short"))?;
        if bytes.read(0, 8)? != MAGIC {
            return Err(Damaged("it is no index of this version"));
        }
        let footer = bytes.read(start, FOOTER as u64)?;
        let mut cursor = Cursor(&footer);
        let (offset, len) = (u64::from_le_bytes(cursor.array()?), u64::from_le_bytes(cursor.array()?));
        let (check, magic) = (cursor.array::<32>()?, cursor.array::<8>()?);
        if magic != MAGIC || len > MOST_ROOT || offset.checked_add(len) != Some(start) {
            return Err(Damaged("its last bytes are not what was written"));
        }
        let root = bytes.read(offset, len)?;
        if format::sha256(&root) != check {
            return Err(Damaged("its root does not match its checksum"));
        }
        Ok(Self { root: Root::decode(&root)?, bytes })
    }

    fn block(&self, block: &Block) -> Result<Vec<u8>, Damaged> {
        let bytes = self.bytes.read(block.offset, block.len)?;
        if format::check(&bytes) == block.check {
            Ok(bytes)
        } else {
            Err(Damaged("a block does not match its checksum"))
        }
    }

    /// Looks packages up and calls `found` with the key's position and what
    /// the index holds for it. Keys must be in ascending order, so that each
    /// block is read once.
    pub(crate) fn packages(
        &self,
        keys: &[Vec<u8>],
        mut found: impl FnMut(usize, Cursor<'_>) -> Result<(), Damaged>,
    ) -> Result<(), Damaged> {
        let mut reader = BlockReader { index: self, table: &self.root.packages, open: None };
        for (position, key) in keys.iter().enumerate() {
            let Some(block) = reader.holding(key)? else { continue };
            let mut cursor = Cursor(block);
            while !cursor.is_empty() {
                let (known, value) = (cursor.bytes()?, cursor.bytes()?);
                match known.cmp(key.as_slice()) {
                    std::cmp::Ordering::Less => {}
                    std::cmp::Ordering::Equal => {
                        found(position, Cursor(value))?;
                        break;
                    }
                    std::cmp::Ordering::Greater => break,
                }
            }
        }
        Ok(())
    }

    /// The details of advisories, whose numbers must be in ascending order.
    pub(crate) fn details(&self, numbers: &[u32]) -> Result<Vec<Details>, Damaged> {
        let mut reader = BlockReader { index: self, table: &self.root.details, open: None };
        let mut all = Vec::with_capacity(numbers.len());
        for number in numbers {
            let missing = Damaged("an advisory that it names is not in it");
            let first = {
                let at = self.root.details.position(&number.to_be_bytes()).ok_or(missing)?;
                let first: [u8; 4] =
                    self.root.details.0[at].first.as_slice().try_into().map_err(|_| missing)?;
                u32::from_be_bytes(first)
            };
            let mut cursor = Cursor(reader.holding(&number.to_be_bytes())?.ok_or(missing)?);
            for _ in first..*number {
                cursor.bytes()?;
            }
            all.push(Details::decode(Cursor(cursor.bytes()?))?);
        }
        Ok(all)
    }
}

/// Keeps the block that was read last.
struct BlockReader<'a> {
    index: &'a Index,
    table: &'a Table,
    open: Option<(usize, Vec<u8>)>,
}

impl BlockReader<'_> {
    fn holding(&mut self, key: &[u8]) -> Result<Option<&[u8]>, Damaged> {
        let Some(at) = self.table.position(key) else { return Ok(None) };
        if self.open.as_ref().is_none_or(|(open, _)| *open != at) {
            self.open = Some((at, self.index.block(&self.table.0[at])?));
        }
        Ok(self.open.as_ref().map(|(_, bytes)| bytes.as_slice()))
    }
}

/// The key of a package.
pub(crate) fn package_key(ecosystem: usize, name: &str) -> Vec<u8> {
    let ecosystem = u32::try_from(ecosystem).unwrap_or(u32::MAX);
    let mut key = Vec::with_capacity(4 + name.len());
    key.extend_from_slice(&ecosystem.to_be_bytes());
    key.extend_from_slice(name.as_bytes());
    key
}

/// What is told of an advisory that affects something.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Details {
    pub(crate) id: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) upstream: Vec<String>,
    pub(crate) summary: String,
    pub(crate) modified: Option<i64>,
    pub(crate) rating: Rating,
    pub(crate) informational: String,
}

impl Details {
    fn decode(mut cursor: Cursor<'_>) -> Result<Self, Damaged> {
        Ok(Self {
            id: cursor.text()?.into(),
            aliases: cursor.texts()?,
            upstream: cursor.texts()?,
            summary: cursor.text()?.into(),
            modified: cursor.seconds()?,
            rating: rating(&mut cursor)?,
            informational: cursor.text()?.into(),
        })
    }
}

/// A rating, as the builder wrote it.
pub(crate) fn rating(cursor: &mut Cursor<'_>) -> Result<Rating, Damaged> {
    let severity = match cursor.byte()? {
        0 => None,
        number => Some(*Severity::ALL.get(usize::from(number - 1)).ok_or(Damaged("a severity is not one"))?),
    };
    let tenths = Some(cursor.byte()?).filter(|tenths| *tenths != u8::MAX);
    Ok(Rating { severity, tenths, vector: cursor.text()?.into() })
}

/// Writes an index so that it is there whole or not at all.
pub(crate) fn write(path: &Path, builder: Builder, root: Root) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(dir)?;
    remove_left_over(dir, file.as_file())?;
    let mut output = BufWriter::with_capacity(1 << 20, file);
    builder.write(root, &mut output)?;
    let file = output.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|why| why.error)?;
    File::open(dir)?.sync_all()
}

/// How the names of files that are being written begin.
const UNFINISHED: &str = ".advisories-";

/// Removes what writers left that were killed: files that are an hour older
/// than one that was made just now. Building takes seconds.
fn remove_left_over(dir: &Path, now: &File) -> io::Result<()> {
    const OLD: Duration = Duration::from_secs(3600);
    let now = now.metadata()?.modified()?;
    for entry in std::fs::read_dir(dir)?.flatten() {
        let unfinished = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        if unfinished && modified.is_ok_and(|then| now.duration_since(then).is_ok_and(|age| age > OLD)) {
            // Another writer may have been faster.
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// An index that is only needed once.
pub(crate) fn to_memory(builder: Builder, root: Root) -> Vec<u8> {
    let mut bytes = Vec::new();
    builder.write(root, &mut bytes).and_then(|()| bytes.flush()).expect("writing to memory cannot fail");
    bytes
}
