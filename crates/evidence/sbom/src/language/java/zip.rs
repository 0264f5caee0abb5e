//! The part of zip that finds and unpacks single entries, bounded.
//!
//! Source: PKWARE APPNOTE 6.3.10.

use std::io::{self, Read, Seek, SeekFrom, Write};

use flate2::read::DeflateDecoder;

use crate::catalog::Unread;

/// The end of an archive has so many bytes, and may be followed by a comment.
const END: usize = 22;
const LONGEST_COMMENT: usize = 0xffff;

/// The most bytes of the central directory; 500,000 entries need them.
const MOST_DIRECTORY: u64 = 64 << 20;

/// Where an archive is: a file, memory, or a part of another archive.
pub(super) trait Source: Read + Seek {}

impl<T: Read + Seek> Source for T {}

/// One entry of the central directory.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    method: u16,
    encrypted: bool,
    /// Bytes in the archive.
    pub(super) stored: u64,
    /// Bytes of the content.
    pub(super) size: u64,
    header_at: u64,
}

impl Entry {
    /// Whether its content is in the archive as it is.
    pub(super) fn is_plain(&self) -> bool {
        self.method == 0 && !self.encrypted && self.stored == self.size
    }
}

/// The entries whose name is wanted, in the order of the directory. `size` is
/// that of the archive.
///
/// # Errors
/// When it is no zip archive, or its directory is damaged or too large.
pub(super) fn entries(
    source: &mut dyn Source,
    size: u64,
    mut is_wanted: impl FnMut(&str) -> bool,
) -> Result<Vec<Entry>, Unread> {
    let directory = Directory::find(source, size)?;
    if directory.size > MOST_DIRECTORY {
        return Err(format!("its directory has {} bytes", directory.size).into());
    }
    let bytes = slice(source, directory.at, directory.size)?;
    let mut entries = Vec::new();
    let mut rest = &bytes[..];
    while let Some(header) = rest.strip_prefix(b"PK\x01\x02") {
        let damaged = || Unread::from("its directory is damaged");
        let half = |at| Some(u64::from(u16::from_le_bytes(*header.get(at..)?.first_chunk()?)));
        let int = |at| Some(u64::from(u32::from_le_bytes(*header.get(at..)?.first_chunk()?)));
        let fields =
            || Some((half(4)?, half(6)?, int(16)?, int(20)?, half(24)?, half(26)?, half(28)?, int(38)?));
        let (flags, method, stored, size, name, extra, comment, at) = fields().ok_or_else(damaged)?;
        let part = |from: u64, length: u64| {
            let from = usize::try_from(from).ok()?;
            header.get(from..from.checked_add(usize::try_from(length).ok()?)?)
        };
        let name_bytes = part(42, name).ok_or_else(damaged)?;
        let extra_bytes = part(42 + name, extra).ok_or_else(damaged)?;
        let text = String::from_utf8_lossy(name_bytes);
        if is_wanted(&text) {
            let mut numbers = [size, stored, at];
            large(extra_bytes, &mut numbers);
            let [size, stored, at] = numbers;
            entries.push(Entry {
                name: text.into_owned(),
                method: u16::try_from(method).unwrap_or(u16::MAX),
                encrypted: flags & 1 != 0,
                stored,
                size,
                header_at: at.saturating_add(directory.before),
            });
        }
        let end = usize::try_from(42 + name + extra + comment).unwrap_or(usize::MAX);
        rest = header.get(end..).ok_or_else(damaged)?;
    }
    Ok(entries)
}

/// Puts the 64-bit numbers of the extra field in the place of those that do
/// not fit into 32.
fn large(extra: &[u8], numbers: &mut [u64; 3]) {
    let mut rest = extra;
    while let [a, b, c, d, tail @ ..] = rest {
        let (id, length) = (u16::from_le_bytes([*a, *b]), usize::from(u16::from_le_bytes([*c, *d])));
        let Some((field, tail)) = tail.split_at_checked(length) else { return };
        if id == 1 {
            let mut values = field.chunks_exact(8).filter_map(|chunk| chunk.first_chunk().copied());
            for number in numbers.iter_mut().filter(|number| **number == u64::from(u32::MAX)) {
                if let Some(value) = values.next() {
                    *number = u64::from_le_bytes(value);
                }
            }
        }
        rest = tail;
    }
}

/// Where the central directory is.
struct Directory {
    at: u64,
    size: u64,
    /// Bytes before the archive, e.g. the script of one that can be executed.
    before: u64,
}

impl Directory {
    fn find(source: &mut dyn Source, file_size: u64) -> Result<Self, Unread> {
        let no_zip = || Unread::from("it is no zip archive");
        let tail_size = file_size.min((END + LONGEST_COMMENT) as u64);
        let tail_at = file_size - tail_size;
        let tail = slice(source, tail_at, tail_size)?;
        let last = tail.len().checked_sub(END).ok_or_else(no_zip)?;
        let end = (0..=last).rev().find(|&at| tail[at..].starts_with(b"PK\x05\x06")).ok_or_else(no_zip)?;
        let end_at = tail_at + end as u64;
        let int = |at: usize| tail[end + at..].first_chunk().map(|four| u64::from(u32::from_le_bytes(*four)));
        let (size, at) = int(12).zip(int(16)).ok_or_else(no_zip)?;
        if at == u64::from(u32::MAX) || size == u64::from(u32::MAX) {
            return Self::find_large(source, end_at);
        }
        let before = end_at
            .checked_sub(size)
            .and_then(|start| start.checked_sub(at))
            .ok_or("its directory is damaged")?;
        Ok(Self { at: at + before, size, before })
    }

    /// The directory of an archive with more than 4 GiB or 65,535 entries.
    fn find_large(source: &mut dyn Source, end_at: u64) -> Result<Self, Unread> {
        let damaged = || Unread::from("its 64-bit directory is damaged");
        let locator = slice(source, end_at.checked_sub(20).ok_or_else(damaged)?, 20)?;
        let long = |bytes: &[u8], at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let record_at =
            long(&locator, 8).filter(|_| locator.starts_with(b"PK\x06\x07")).ok_or_else(damaged)?;
        let record = slice(source, record_at, 56)?;
        let numbers = long(&record, 40).zip(long(&record, 48)).filter(|_| record.starts_with(b"PK\x06\x06"));
        let (size, at) = numbers.ok_or_else(damaged)?;
        Ok(Self { at, size, before: 0 })
    }
}

/// Where the stored bytes of an entry begin.
pub(super) fn data_at(source: &mut dyn Source, entry: &Entry) -> Result<u64, Unread> {
    if entry.encrypted {
        return Err("it is encrypted".into());
    }
    let header = slice(source, entry.header_at, 30)?;
    if !header.starts_with(b"PK\x03\x04") {
        return Err("its header is damaged".into());
    }
    let half = |at: usize| u64::from(header[at]) | u64::from(header[at + 1]) << 8;
    Ok(entry.header_at.saturating_add(30 + half(26) + half(28)))
}

/// Writes the content of an entry; at most so many bytes.
///
/// # Errors
/// When it is encrypted, damaged, compressed by another method than deflate,
/// or larger.
pub(super) fn unpack(
    source: &mut dyn Source,
    entry: &Entry,
    most: u64,
    sink: &mut dyn Write,
) -> Result<u64, Unread> {
    let at = data_at(source, entry)?;
    source.seek(SeekFrom::Start(at))?;
    let stored = io::BufReader::with_capacity(32 << 10, source.take(entry.stored));
    let copied = match entry.method {
        0 => io::copy(&mut stored.take(most.saturating_add(1)), sink),
        8 => io::copy(&mut DeflateDecoder::new(stored).take(most.saturating_add(1)), sink),
        other => return Err(format!("it is compressed by method {other}").into()),
    };
    match copied? {
        bytes if bytes > most => Err(format!("it has more than {most} bytes").into()),
        bytes => Ok(bytes),
    }
}

/// The first bytes of an entry's content, at most so many.
///
/// # Errors
/// As [`unpack`], but it may be larger.
pub(super) fn start(source: &mut dyn Source, entry: &Entry, most: usize) -> Result<Vec<u8>, Unread> {
    /// Takes what has room and refuses the rest.
    struct Room<'a>(&'a mut Vec<u8>, usize);
    impl Write for Room<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.1 - self.0.len());
            self.0.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut bytes = Vec::new();
    match unpack(source, entry, most as u64, &mut Room(&mut bytes, most)) {
        Err(_) if bytes.len() == most => Ok(bytes),
        result => result.map(|_| bytes),
    }
}

fn slice(source: &mut dyn Source, at: u64, length: u64) -> Result<Vec<u8>, Unread> {
    source.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    let read = source.take(length).read_to_end(&mut bytes)?;
    if read as u64 == length { Ok(bytes) } else { Err("it ends too early".into()) }
}

/// A part of another source: an archive that is stored in one as it is.
pub(super) struct Part<'a> {
    source: &'a mut dyn Source,
    start: u64,
    size: u64,
    position: u64,
}

impl<'a> Part<'a> {
    pub(super) fn new(source: &'a mut dyn Source, start: u64, size: u64) -> Self {
        Self { source, start, size, position: 0 }
    }
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.size.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let length = buffer.len().min(room);
        self.source.seek(SeekFrom::Start(self.start + self.position))?;
        let read = self.source.read(&mut buffer[..length])?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for Part<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        let in_range = position.filter(|at| at.checked_add(self.start).is_some());
        self.position = in_range.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Cursor;

    use super::*;
    use crate::language::testing::torture;

    /// How the content of an entry is put into the archive.
    #[derive(Clone, Copy, PartialEq)]
    pub(in crate::language::java) enum Stored {
        /// As it is.
        Yes,
        /// Compressed.
        No,
    }

    /// A zip archive.
    pub(in crate::language::java) fn archive(entries: &[(&str, &[u8], Stored)]) -> Vec<u8> {
        let (mut file, mut directory) = (Vec::new(), Vec::new());
        for (name, content, stored) in entries {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(content).unwrap();
            let deflated = encoder.finish().unwrap();
            let (method, data) = if *stored == Stored::Yes { (0_u16, *content) } else { (8, &*deflated) };
            let at = u32::try_from(file.len()).unwrap();
            let mut common = vec![20, 0, 0, 0];
            common.extend(method.to_le_bytes());
            common.extend([0; 8]);
            common.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
            common.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
            common.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
            common.extend([0, 0]);
            file.extend([b"PK\x03\x04", &*common, name.as_bytes(), data].concat());
            directory.extend(
                [b"PK\x01\x02\x14\0", &*common, &[0; 10], &at.to_le_bytes(), name.as_bytes()].concat(),
            );
        }
        let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
        let at = u32::try_from(file.len()).unwrap().to_le_bytes();
        let size = u32::try_from(directory.len()).unwrap().to_le_bytes();
        [&*file, &*directory, b"PK\x05\x06\0\0\0\0", &count, &count, &size, &at, &[0, 0]].concat()
    }

    fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Unread> {
        let mut source = Cursor::new(bytes);
        let entries = entries(&mut source, bytes.len() as u64, |_| true)?;
        entries.iter().map(|entry| Ok((entry.name.clone(), start(&mut source, entry, 1 << 16)?))).collect()
    }

    const ENTRIES: [(&str, &[u8], Stored); 2] =
        [("a", b"hello", Stored::Yes), ("dir/b", &[7; 1000], Stored::No)];

    #[test]
    fn entries_are_unpacked_also_behind_a_script() {
        let plain = archive(&ENTRIES);
        for bytes in [plain.clone(), [b"#!/bin/sh\nexec java -jar $0\n".as_slice(), &plain].concat()] {
            let all = read(&bytes).unwrap();
            assert_eq!(all[0], ("a".into(), b"hello".to_vec()));
            assert_eq!(all[1], ("dir/b".into(), vec![7; 1000]));
        }
    }

    #[test]
    fn large_entries_are_cut_or_refused() {
        let bytes = archive(&[("bomb", &vec![0; 100 << 20], Stored::No)]);
        let mut source = Cursor::new(&*bytes);
        let entry = entries(&mut source, bytes.len() as u64, |_| true).unwrap().remove(0);
        assert_eq!(start(&mut source, &entry, 1000).unwrap().len(), 1000);
        assert!(
            unpack(&mut source, &entry, 1000, &mut io::sink())
                .unwrap_err()
                .reason()
                .contains("more than 1000")
        );
    }

    #[test]
    fn damage_is_an_error() {
        torture(&archive(&ENTRIES), |bytes| drop(read(bytes)));
        for bad in [&b""[..], b"PK\x05\x06", &[0; 100_000]] {
            assert_eq!(read(bad).unwrap_err().reason(), "it is no zip archive");
        }
        let mut huge = archive(&ENTRIES);
        let end = huge.len() - END;
        huge[end + 12..end + 20].fill(0xff);
        assert!(read(&huge).unwrap_err().reason().contains("64-bit"));
    }

    #[test]
    fn a_part_is_read_like_a_file_of_its_own() {
        let inner = archive(&ENTRIES);
        let bytes = [&[1; 10], &*inner, &[2; 10]].concat();
        let mut source = Cursor::new(&*bytes);
        let mut part = Part::new(&mut source, 10, inner.len() as u64);
        assert_eq!(entries(&mut part, inner.len() as u64, |_| true).unwrap().len(), 2);
        let mut all = Vec::new();
        part.seek(SeekFrom::End(-4)).unwrap();
        part.read_to_end(&mut all).unwrap();
        assert_eq!(all, inner[inner.len() - 4..]);
        assert!(part.seek(SeekFrom::Current(-1000)).is_err());
    }
}
