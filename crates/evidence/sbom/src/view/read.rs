//! Showing one file to the catalogers that want it.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::journal::Reading;
use crate::Limits;
use crate::catalog::{Budget, Content, ELF, Matcher, Registered, Unread, Wanted};

/// What all threads that read share.
pub(crate) struct Shared<'a> {
    pub(crate) catalogers: &'a [Box<dyn Registered>],
    pub(crate) matcher: &'a Matcher,
    pub(crate) budget: Budget,
    entries: AtomicU64,
    bytes: AtomicU64,
    /// Something that all layers share was used up while several of them were
    /// read at once: which one met the end depends on chance.
    exhausted: AtomicBool,
}

impl<'a> Shared<'a> {
    pub(crate) fn new(catalogers: &'a [Box<dyn Registered>], matcher: &'a Matcher, limits: Limits) -> Self {
        Self {
            catalogers,
            matcher,
            budget: Budget::new(limits),
            entries: AtomicU64::new(limits.entries),
            bytes: AtomicU64::new(limits.total_bytes),
            exhausted: AtomicBool::new(false),
        }
    }

    /// Counts an entry of so many bytes.
    pub(crate) fn count(&self, bytes: u64) -> Result<(), Unread> {
        let limits = &self.budget.limits;
        let take = |counter: &AtomicU64, n: u64, what: String| {
            let taken =
                counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(n));
            taken.map(drop).map_err(|_| {
                self.exhausted.store(true, Ordering::Relaxed);
                Unread::new(format!("not read to its end: there are more than {what}"))
            })
        };
        take(&self.entries, 1, format!("{} entries", limits.entries))?;
        take(&self.bytes, bytes, format!("{} bytes in all", limits.total_bytes))
    }

    /// Whether something that is shared was used up.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Relaxed) || self.budget.is_exhausted()
    }

    /// Shows a file on the disk to `wanted`, and to those who want ELF files
    /// if it is one.
    pub(crate) fn read_file(
        &self,
        path: &str,
        file: &File,
        size: u64,
        by_path: Wanted,
        elf: Wanted,
    ) -> Reading {
        let mut wanted = by_path;
        if !elf.is_empty() {
            let mut magic = [0; 4];
            let read = { file }.read_exact(&mut magic);
            match read {
                Ok(()) if magic == ELF => wanted = wanted.union(elf),
                Ok(()) => {}
                Err(error) => return Self::failed(by_path.union(elf), &error.into()),
            }
        }
        if size > self.budget.limits.file_bytes {
            return Self::failed(wanted, &self.too_large(size));
        }
        self.show(path, &mut Content::file(file, size, &self.budget), wanted)
    }

    /// Shows a document in memory to `wanted`.
    pub(crate) fn read_bytes(&self, path: &str, bytes: &[u8], wanted: Wanted) -> Reading {
        self.show(path, &mut Content::memory(bytes, &self.budget), wanted)
    }

    /// Shows the content that streams from `source`. Nothing is read of it
    /// where nobody wants it.
    ///
    /// # Errors
    /// What reading the source failed with.
    pub(crate) fn read_stream(
        &self,
        path: &str,
        source: &mut dyn Read,
        size: u64,
        by_path: Wanted,
        elf: Wanted,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Reading> {
        let mut wanted = by_path;
        buffer.clear();
        if !elf.is_empty() {
            source.take(ELF.len() as u64).read_to_end(buffer)?;
            if buffer == ELF {
                wanted = wanted.union(elf);
            }
        }
        if wanted.is_empty() {
            return Ok(Reading::default());
        }
        if size > self.budget.limits.file_bytes {
            return Ok(Self::failed(wanted, &self.too_large(size)));
        }
        if size <= IN_MEMORY {
            source.take(IN_MEMORY).read_to_end(buffer)?;
            let reading = self.read_bytes(path, buffer, wanted);
            buffer.shrink_to(KEPT);
            return Ok(reading);
        }
        match spool(buffer, source)? {
            Ok(file) => Ok(self.read_file(path, &file, size, wanted, Wanted::default())),
            // The disk of temporary files is full, or not there.
            Err(error) => Ok(Self::failed(wanted, &Unread::new(format!("no room to look into it: {error}")))),
        }
    }

    fn too_large(&self, size: u64) -> Unread {
        Unread::new(format!(
            "it has {size} bytes; {} are the most that is read",
            self.budget.limits.file_bytes
        ))
    }

    fn show(&self, path: &str, content: &mut Content<'_>, wanted: Wanted) -> Reading {
        let mut reading = Reading { asked: wanted, answers: Vec::new() };
        for index in wanted.iter() {
            let answer = match content.seek(SeekFrom::Start(0)) {
                Ok(_) => self.catalogers[index].read(path, content),
                Err(error) => Err(error.into()),
            };
            let answer = answer.and_then(|read| match read {
                Some((fact, weight)) => self.budget.keep(weight).map(|()| Some(fact)),
                None => Ok(None),
            });
            reading.answers.extend(answer.transpose().map(|answer| (index, answer)));
        }
        reading
    }

    /// Nobody could be shown the file.
    pub(super) fn failed(asked: Wanted, why: &Unread) -> Reading {
        Reading { asked, answers: asked.iter().map(|index| (index, Err(why.clone()))).collect() }
    }
}

/// Files up to this size are looked at in memory; larger ones are put in a
/// temporary file first, since archives and executables are read from their
/// ends.
const IN_MEMORY: u64 = 8 << 20;

/// What a buffer keeps between two files.
const KEPT: usize = 1 << 20;

/// Puts what streams into a temporary file without a name. The outer error is
/// the source's, the inner one the file's.
fn spool(start: &[u8], source: &mut dyn Read) -> io::Result<io::Result<File>> {
    let mut file = match tempfile::tempfile() {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    let mut buffer = vec![0; 256 << 10];
    let mut written = io::Write::write_all(&mut file, start);
    loop {
        let n = source.read(&mut buffer)?;
        if n == 0 || written.is_err() {
            break;
        }
        written = io::Write::write_all(&mut file, &buffer[..n]);
    }
    Ok(written.map(|()| file))
}
