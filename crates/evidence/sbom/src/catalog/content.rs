//! The content of one file, bounded.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::Limits;

/// Why a file could not be read, in words that go into the SBOM: they are the
/// same wherever and whenever the same bytes are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unread(String);

impl Unread {
    /// For this reason; lower case, no full stop.
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        let reason: String = reason.into();
        // A reason may quote what a stranger wrote.
        Self(reason.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect())
    }

    pub(crate) fn reason(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Unread {
    fn from(reason: &str) -> Self {
        Self::new(reason)
    }
}

impl From<String> for Unread {
    fn from(reason: String) -> Self {
        Self::new(reason)
    }
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::new("it ends too early"),
            _ => Self::new(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for Unread {
    fn from(error: serde_json::Error) -> Self {
        Self::new(format!("not the JSON that was expected: {error}"))
    }
}

/// What all documents together may still have; shared by the threads.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) limits: Limits,
    documents: AtomicU64,
    kept: AtomicU64,
    exhausted: AtomicBool,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            documents: AtomicU64::new(limits.documents_bytes),
            kept: AtomicU64::new(limits.kept_bytes),
            exhausted: AtomicBool::new(false),
        }
    }

    /// Whether something was not read, or not kept, because of all the others.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> Result<(), Unread> {
        self.less(&self.documents, bytes, "all documents together are larger than what is read")
    }

    /// Counts what is kept of a file.
    pub(crate) fn keep(&self, weight: usize) -> Result<(), Unread> {
        self.less(&self.kept, weight as u64, "more would be kept of all files than may be")
    }

    fn less(&self, left: &AtomicU64, bytes: u64, why: &'static str) -> Result<(), Unread> {
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken.map(drop).map_err(|_| {
            self.exhausted.store(true, Ordering::Relaxed);
            why.into()
        })
    }
}

/// Where the bytes are.
#[derive(Debug)]
enum Bytes<'a> {
    Memory(Cursor<&'a [u8]>),
    File(&'a File),
}

/// The content of a file that a cataloger wants. [`Read`] and [`Seek`] are
/// cheap; large files are not in memory.
#[derive(Debug)]
pub(crate) struct Content<'a> {
    bytes: Bytes<'a>,
    size: u64,
    budget: &'a Budget,
}

impl<'a> Content<'a> {
    pub(crate) fn memory(bytes: &'a [u8], budget: &'a Budget) -> Self {
        Self { bytes: Bytes::Memory(Cursor::new(bytes)), size: bytes.len() as u64, budget }
    }

    pub(crate) fn file(file: &'a File, size: u64, budget: &'a Budget) -> Self {
        Self { bytes: Bytes::File(file), size, budget }
    }

    /// Bytes in the file.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// How much may be read; nesting and the size of documents matter to
    /// those who open archives.
    pub(crate) fn limits(&self) -> &Limits {
        &self.budget.limits
    }

    /// All of a document, from its beginning.
    ///
    /// # Errors
    /// When it is larger than [`Limits::document_bytes`], when all documents
    /// together are larger than [`Limits::documents_bytes`], or when reading
    /// fails.
    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, Unread> {
        let most = self.limits().document_bytes;
        if self.size > most {
            return Err(Unread::new(format!("it has {} bytes; {most} are the most that is read", self.size)));
        }
        self.budget.take(self.size)?;
        self.rewind()?;
        let mut bytes = Vec::with_capacity(usize::try_from(self.size).unwrap_or(0));
        Read::take(&mut *self, most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// As [`Content::bytes`]; what is no UTF-8 is replaced by U+FFFD.
    ///
    /// # Errors
    /// As [`Content::bytes`].
    pub(crate) fn text(&mut self) -> Result<String, Unread> {
        Ok(match String::from_utf8(self.bytes()?) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }

    /// Exactly `length` bytes at `offset`: a header, a section, a page.
    ///
    /// # Errors
    /// When they are not all in the file, when they are more than
    /// [`Limits::document_bytes`], or when reading fails.
    pub(crate) fn slice(&mut self, offset: u64, length: u64) -> Result<Vec<u8>, Unread> {
        if offset.checked_add(length).is_none_or(|end| end > self.size) {
            return Err(Unread::new(format!("it has no {length} bytes at offset {offset}")));
        }
        let most = self.limits().document_bytes;
        if length > most {
            return Err(Unread::new(format!("a part of {length} bytes; {most} are the most that is read")));
        }
        self.seek(SeekFrom::Start(offset))?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| "a part is too large")?];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.bytes {
            Bytes::Memory(cursor) => cursor.read(buffer),
            Bytes::File(file) => file.read(buffer),
        }
    }
}

impl Seek for Content<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.bytes {
            Bytes::Memory(cursor) => cursor.seek(to),
            Bytes::File(file) => file.seek(to),
        }
    }
}
