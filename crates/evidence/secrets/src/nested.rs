//! Archives within files: gzip, zstd, and the zip family (jar, war, whl).
//!
//! The configuration of a Java service is inside of its jar. Zip files are
//! read front to back, entry by entry, as they stream by.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use crate::report::Level;
use crate::scan::Scanner;

/// Archives within archives that are opened.
const DEPTH: usize = 4;

/// What a file is by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Gzip,
    Zstd,
    Zip,
    /// A kind that is not opened, by its name.
    Closed(&'static str),
}

/// Whether a file that begins so is an archive.
pub(crate) fn kind(start: &[u8]) -> Option<Kind> {
    const KINDS: &[(&[u8], Kind)] = &[
        (&[0x1f, 0x8b, 8], Kind::Gzip),
        (&[0x28, 0xb5, 0x2f, 0xfd], Kind::Zstd),
        (b"PK\x03\x04", Kind::Zip),
        (b"\xfd7zXZ\0", Kind::Closed("an xz archive")),
        (b"7z\xbc\xaf\x27\x1c", Kind::Closed("a 7z archive")),
        (b"Rar!\x1a\x07", Kind::Closed("a rar archive")),
        (b"\xed\xab\xee\xdb", Kind::Closed("an rpm package")),
        (b"!<arch>\ndebian-binary", Kind::Closed("a Debian package")),
    ];
    if start.starts_with(b"BZh") && start.get(4..10) == Some(b"1AY&SY") {
        return Some(Kind::Closed("a bzip2 archive"));
    }
    KINDS.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, kind)| *kind)
}

/// Scans what is in an archive.
///
/// # Errors
/// What reading `content` failed with. Damage of the archive is told in the
/// report.
pub(crate) fn open(
    scanner: &mut Scanner,
    path: &[u8],
    kind: Kind,
    content: &mut dyn Read,
    depth: usize,
) -> io::Result<()> {
    if let Kind::Closed(what) = kind {
        scanner.unread(path, Level::Note, format!("it is {what}, which is not opened"));
        return Ok(());
    }
    if depth >= DEPTH {
        scanner.unread(path, Level::Note, format!("it is inside of {DEPTH} archives; no more are opened"));
        return Ok(());
    }
    let mut outer = Latch { inner: content, failed: None };
    let left = scanner.archive_bytes.clone();
    let inside = match kind {
        Kind::Gzip => {
            let plain = flate2::bufread::MultiGzDecoder::new(BufReader::new(&mut outer));
            scanner.file(&inner_path(path, stem(path)), &mut Budget { inner: plain, left }, depth + 1)
        }
        Kind::Zstd => zstd::Decoder::new(&mut outer).and_then(|plain| {
            scanner.file(&inner_path(path, stem(path)), &mut Budget { inner: plain, left }, depth + 1)
        }),
        Kind::Zip => zip(scanner, path, &mut BufReader::with_capacity(64 << 10, &mut outer), depth),
        Kind::Closed(_) => Ok(()),
    };
    if let Some(failed) = outer.failed {
        return Err(failed);
    }
    match inside {
        Err(e) if e.kind() == io::ErrorKind::FileTooLarge => {
            scanner.unread(path, Level::Stop, "the archives here unpack to more than is read");
        }
        // The decoder's words are about the archive's structure.
        Err(e) => {
            scanner.unread(path, Level::Note, format!("the archive is damaged or of an unknown kind: {e}"))
        }
        Ok(()) => {}
    }
    Ok(())
}

fn inner_path(path: &[u8], inner: &[u8]) -> Vec<u8> {
    [path, b"!/", inner].concat()
}

/// The last component without its last ending.
fn stem(path: &[u8]) -> &[u8] {
    let base = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
    match base.iter().rposition(|&b| b == b'.') {
        Some(dot) if dot > 0 => &base[..dot],
        _ => base,
    }
}

/// Tells a failure of what an archive is read from from damage of the archive.
struct Latch<'a> {
    inner: &'a mut dyn Read,
    failed: Option<io::Error>,
}

impl Read for Latch<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|e| {
            let kind = e.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failed = Some(e);
            }
            kind.into()
        })
    }
}

/// Counts what is unpacked, and ends it with `FileTooLarge`.
struct Budget<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Budget<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let left = self.left.get().checked_sub(read as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        self.left.set(left);
        Ok(read)
    }
}

/// A local file header (APPNOTE.TXT 4.3.7).
struct Header {
    flags: u16,
    method: u16,
    stored: u64,
    has_zip64: bool,
    name: Vec<u8>,
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The next header; `None` where the entries end.
fn header(reader: &mut dyn BufRead) -> io::Result<Option<Header>> {
    let mut signature = [0; 4];
    reader.read_exact(&mut signature)?;
    if signature != *b"PK\x03\x04" {
        return Ok(None);
    }
    let mut fixed = [0; 26];
    reader.read_exact(&mut fixed)?;
    let mut name = vec![0; usize::from(u16_at(&fixed, 22))];
    let mut extra = vec![0; usize::from(u16_at(&fixed, 24))];
    reader.read_exact(&mut name)?;
    reader.read_exact(&mut extra)?;
    let mut stored = u64::from(u32_at(&fixed, 14));
    let mut has_zip64 = false;
    let mut rest = &extra[..];
    while rest.len() >= 4 {
        let (id, length) = (u16_at(rest, 0), usize::from(u16_at(rest, 2)));
        let Some(body) = rest.get(4..4 + length) else { break };
        if id == 1 {
            has_zip64 = true;
            // Uncompressed size, then compressed size.
            if let (0xffff_ffff, Some(size)) = (stored, body.get(8..16)) {
                stored = u64::from(u32_at(size, 0)) | u64::from(u32_at(size, 4)) << 32;
            }
        }
        rest = &rest[4 + length..];
    }
    Ok(Some(Header { flags: u16_at(&fixed, 2), method: u16_at(&fixed, 4), stored, has_zip64, name }))
}

/// Scans the entries of a zip file.
fn zip(scanner: &mut Scanner, path: &[u8], reader: &mut dyn BufRead, depth: usize) -> io::Result<()> {
    const ENCRYPTED: u16 = 1;
    /// Sizes follow the content (APPNOTE.TXT 4.3.9).
    const STREAMED: u16 = 8;
    while let Some(header) = header(reader)? {
        let inner = inner_path(path, &header.name);
        let streamed = header.flags & STREAMED != 0;
        let left = scanner.archive_bytes.clone();
        // A directory has no content.
        let is_file = !header.name.ends_with(b"/");
        match header.method {
            8 if header.flags & ENCRYPTED == 0 && streamed => {
                let mut plain = Budget { inner: flate2::bufread::DeflateDecoder::new(&mut *reader), left };
                scanner.file(&inner, &mut plain, depth + 1)?;
                io::copy(&mut plain, &mut io::sink())?;
            }
            0 | 8 if header.flags & ENCRYPTED == 0 && (!streamed || header.stored > 0 || !is_file) => {
                let mut stored = (&mut *reader).take(header.stored);
                if is_file {
                    let plain: &mut dyn Read = match header.method {
                        0 => &mut stored,
                        _ => &mut flate2::bufread::DeflateDecoder::new(&mut stored),
                    };
                    scanner.file(&inner, &mut Budget { inner: plain, left }, depth + 1)?;
                }
                io::copy(&mut stored, &mut io::sink())?;
            }
            _ if header.stored == 0 && streamed => {
                return Err(damaged("an entry is encrypted, or stored without its size"));
            }
            method => {
                let why = if header.flags & ENCRYPTED != 0 {
                    "it is encrypted".into()
                } else {
                    format!("compression method {method} is not known")
                };
                scanner.unread(&inner, Level::Note, why);
                io::copy(&mut (&mut *reader).take(header.stored), &mut io::sink())?;
            }
        }
        if streamed {
            let mut word = [0; 4];
            reader.read_exact(&mut word)?;
            let sizes = if header.has_zip64 { 16 } else { 8 };
            let rest = if word == *b"PK\x07\x08" { 4 + sizes } else { sizes };
            reader.read_exact(&mut [0; 20][..rest])?;
        }
    }
    Ok(())
}
