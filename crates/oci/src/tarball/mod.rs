//! Reading tar archives that strangers wrote: ustar, GNU, PAX and sparse
//! files, in one pass, with everything bounded.
//!
//! Where dialects disagree this follows Go's `archive/tar`, which the other
//! tools of the field use, so that an archive means the same here and there.

mod header;
mod pax;
mod sparse;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::{Error, Result};
use header::Header;

const BLOCK: usize = 512;

/// The most bytes of one extended header or long name.
const EXTENSION: u64 = 1 << 20;

/// The most bytes of a path or link target (Linux' PATH_MAX).
const PATH: usize = 4096;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link and where it points, as written.
    Symlink(PathBuf),
    /// Another name for the file at this path, as written.
    HardLink(PathBuf),
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
}

/// An entry's header. Its content is read from the reader that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path as written, which may be hostile.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of content, holes of sparse files included; 0 unless it is a file.
    pub size: u64,
    /// Permission bits, setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Modification time: seconds since 1970 and nanoseconds after them.
    pub mtime: (i64, u32),
    /// Extended attributes.
    pub xattrs: BTreeMap<OsString, Vec<u8>>,
    /// Whether the file has holes.
    pub sparse: bool,
}

/// Reads entries one after the other; [`Read`] gives the content of the one
/// that [`TarReader::next_entry`] returned last.
pub(crate) struct TarReader<R> {
    inner: R,
    /// Names the archive in errors.
    object: String,
    /// Stored bytes of the current entry that were not read yet.
    stored: u64,
    /// Zeros after them, up to a full block.
    padding: u64,
    holes: Option<Holes>,
    ended: bool,
}

/// Position in a sparse file.
struct Holes {
    map: sparse::Map,
    part: usize,
    position: u64,
    size: u64,
}

/// What extension headers said about the entry that follows them.
#[derive(Default)]
struct Extensions {
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    records: pax::Records,
}

impl<R: Read> TarReader<R> {
    /// Reads the tar archive in `inner`; `object` names it in errors.
    pub(crate) fn new(inner: R, object: impl Into<String>) -> Self {
        Self { inner, object: object.into(), stored: 0, padding: 0, holes: None, ended: false }
    }

    pub(crate) fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    fn malformed(&self, reason: impl std::fmt::Display) -> Error {
        Error::malformed(&self.object, reason)
    }

    fn failed(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.malformed("it ends in the middle of an entry"),
            _ => Error::from_read("read", &self.object, error),
        }
    }

    /// The next entry, or `None` at the end of the archive.
    ///
    /// # Errors
    /// [`Error::Malformed`], or what reading failed with.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>> {
        if self.ended {
            return Ok(None);
        }
        let mut extensions = Extensions::default();
        // Each extension is bounded; so is how many precede one entry.
        for _ in 0..64 {
            self.skip_rest()?;
            let Some(block) = self.block()? else {
                self.ended = true;
                return Ok(None);
            };
            let header = Header::new(&block)
                .map_err(|reason| self.malformed(format!("a header is damaged: {reason}")))?;
            let size = header.number(124..136).and_then(|n| u64::try_from(n).ok());
            let size = size.ok_or_else(|| self.malformed("the size of an entry is not a number"))?;
            match header.kind() {
                b'L' => extensions.long_name = Some(trim_nul(self.extension(size)?)),
                b'K' => extensions.long_link = Some(trim_nul(self.extension(size)?)),
                kind @ (b'x' | b'g') => {
                    let bytes = self.extension(size)?;
                    let records = pax::parse(&bytes).map_err(|reason| self.malformed(reason))?;
                    // Global headers carry comments; Go does not apply them.
                    if kind == b'x' {
                        extensions.records = records;
                    }
                }
                _ => return self.entry(&header, size, extensions).map(Some),
            }
        }
        Err(self.malformed("too many extension headers before one entry"))
    }

    /// The next block; `None` at the end marker or the end of the stream.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(self.malformed("it ends in the middle of a header")),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed(e)),
            }
        }
        Ok(block.iter().any(|&b| b != 0).then_some(block))
    }

    /// The content of an extension header.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > EXTENSION {
            return Err(
                self.malformed(format!("an extension header has {size} bytes; {EXTENSION} are the most"))
            );
        }
        (self.stored, self.padding) = (size, padding_of(size));
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).map_err(|e| self.failed(e))?;
        Ok(bytes)
    }

    fn entry(&mut self, header: &Header<'_>, size: u64, extensions: Extensions) -> Result<Entry> {
        let Extensions { long_name, long_link, records } = extensions;
        let mut path = long_name.unwrap_or_else(|| header.name());
        let mut link = long_link.unwrap_or_else(|| header.link());
        let field = |range| header.number(range);
        let mode = field(100..108);
        let (mut uid, mut gid) = (field(108..116), field(116..124));
        let mut mtime = field(136..148).map(|seconds| (seconds, 0));
        let mut stored = Some(size);
        let mut xattrs = BTreeMap::new();
        let mut sparse = PaxSparse::default();
        // An empty value leaves the header's own in force.
        for (key, value) in records.iter().filter(|(_, value)| !value.is_empty()) {
            match key.as_str() {
                "path" => path.clone_from(value),
                "linkpath" => link.clone_from(value),
                "size" => stored = pax::number(value),
                "uid" => uid = pax::number(value),
                "gid" => gid = pax::number(value),
                "mtime" => mtime = pax::time(value),
                _ => {
                    if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                        xattrs.insert(OsString::from(name), value.clone());
                    } else if let Some(key) = key.strip_prefix("GNU.sparse.") {
                        sparse
                            .take(key, value)
                            .ok_or_else(|| self.malformed("a sparse file's map is damaged"))?;
                    }
                }
            }
        }
        let shown = String::from_utf8_lossy(&path[..path.len().min(200)]).into_owned();
        let bad = |what: &str| Error::malformed(&self.object, format!("entry `{shown}`: {what}"));
        let stored = stored.ok_or_else(|| bad("its size is not a number"))?;
        if i64::try_from(stored).is_err() {
            return Err(bad("its size is too large"));
        }
        if path.len() > PATH || link.len() > PATH {
            return Err(bad("its path or link target is too long"));
        }
        if path.contains(&0) || link.contains(&0) {
            return Err(bad("its path or link target contains a NUL"));
        }
        let is_directory_name = path.ends_with(b"/");
        let link = || PathBuf::from(OsString::from_vec(link.clone()));
        let kind = match header.kind() {
            b'0' | 0 if is_directory_name => EntryKind::Directory,
            b'0' | 0 | b'7' | b'S' => EntryKind::File,
            b'1' => EntryKind::HardLink(link()),
            b'2' => EntryKind::Symlink(link()),
            b'3' => EntryKind::CharacterDevice,
            b'4' => EntryKind::BlockDevice,
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            other => return Err(bad(&format!("its type {:?} is not supported", char::from(other)))),
        };
        let unsigned = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
        let entry = Entry {
            mode: mode.and_then(|n| u32::try_from(n).ok()).ok_or_else(|| bad("its mode is not a number"))?
                & 0o7777,
            uid: unsigned(uid).ok_or_else(|| bad("its owner is not a number"))?,
            gid: unsigned(gid).ok_or_else(|| bad("its group is not a number"))?,
            mtime: mtime.ok_or_else(|| bad("its modification time is not a number"))?,
            path: PathBuf::from(OsString::from_vec(path)),
            kind,
            size: 0,
            xattrs,
            sparse: false,
        };
        // Links, directories and devices have no content, whatever size is
        // written for them (as Go reads it).
        if entry.kind != EntryKind::File {
            return Ok(entry);
        }
        (self.stored, self.padding) = (stored, padding_of(stored));
        self.file(header, entry, sparse)
    }

    /// Finds out the size and the holes of a regular file.
    fn file(&mut self, header: &Header<'_>, mut entry: Entry, sparse: PaxSparse) -> Result<Entry> {
        let bad = |this: &Self| {
            this.malformed(format!("entry `{}`: its sparse map is damaged", entry.path.display()))
        };
        let found = if header.kind() == b'S' {
            if !header.is_gnu() {
                return Err(bad(self));
            }
            Some(self.old_map(header).and_then(|found| found.ok_or_else(|| bad(self)))?)
        } else if sparse.is_used() {
            let map = match (&sparse.major, &sparse.list) {
                (Some(1), _) => self.leading_map()?,
                (Some(0) | None, Some(list)) => Some(list.clone()),
                (Some(0) | None, None) => sparse::pairs(&sparse.numbers),
                _ => None,
            };
            Some(map.zip(sparse.size).ok_or_else(|| bad(self))?)
        } else {
            None
        };
        entry.size = self.stored;
        if let Some((map, size)) = found {
            if !sparse::is_consistent(&map, size, self.stored) {
                return Err(bad(self));
            }
            if let Some(name) = sparse.name {
                if name.len() > PATH || name.contains(&0) {
                    return Err(bad(self));
                }
                entry.path = PathBuf::from(OsString::from_vec(name));
            }
            (entry.size, entry.sparse) = (size, true);
            self.holes = Some(Holes { map, part: 0, position: 0, size });
        }
        Ok(entry)
    }

    /// The map of an old GNU sparse file: four parts in the header, more in
    /// the blocks after it.
    fn old_map(&mut self, header: &Header<'_>) -> Result<Option<(sparse::Map, u64)>> {
        let raw = header.raw();
        let mut map = Vec::new();
        let size = header.number(483..495).and_then(|n| u64::try_from(n).ok());
        if sparse::add_old_parts(&mut map, &raw[386..482]).is_none() {
            return Ok(None);
        }
        let mut more = raw[482] != 0;
        while more {
            let Some(block) = self.block()? else { return Ok(None) };
            if sparse::add_old_parts(&mut map, &block[..504]).is_none() {
                return Ok(None);
            }
            more = block[504] != 0;
        }
        Ok(size.map(|size| (map, size)))
    }

    /// The map of PAX format 1.0: decimal numbers, one a line, before the
    /// data, filled up to whole blocks.
    fn leading_map(&mut self) -> Result<Option<sparse::Map>> {
        let mut numbers: Vec<u64> = Vec::new();
        let mut digits = String::new();
        loop {
            let mut block = [0; BLOCK];
            if self.stored < BLOCK as u64 {
                return Ok(None);
            }
            self.inner.read_exact(&mut block).map_err(|e| self.failed(e))?;
            self.stored -= BLOCK as u64;
            for byte in block {
                if byte != b'\n' {
                    digits.push(char::from(byte));
                    if digits.len() > 20 {
                        return Ok(None);
                    }
                    continue;
                }
                let Some(number) = pax::decimal(&digits) else { return Ok(None) };
                digits.clear();
                numbers.push(number);
                let Ok(parts) = usize::try_from(numbers[0]) else { return Ok(None) };
                if parts > sparse::PARTS {
                    return Ok(None);
                }
                if numbers.len() == 1 + 2 * parts {
                    return Ok(sparse::pairs(&numbers[1..]));
                }
            }
        }
    }

    /// Skips what is left of the current entry.
    fn skip_rest(&mut self) -> Result<()> {
        self.holes = None;
        let left = self.stored + self.padding;
        (self.stored, self.padding) = (0, 0);
        let skipped =
            io::copy(&mut (&mut self.inner).take(left), &mut io::sink()).map_err(|e| self.failed(e))?;
        if skipped < left {
            return Err(self.malformed("it ends in the middle of an entry"));
        }
        Ok(())
    }

    /// Stored bytes of the current entry.
    fn read_stored(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.stored).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let n = self.inner.read(&mut buffer[..most])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.stored -= n as u64;
        Ok(n)
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(Holes { map, part, position, size }) = &mut self.holes else {
            return self.read_stored(buffer);
        };
        while map.get(*part).is_some_and(|&(offset, length)| *position >= offset + length) {
            *part += 1;
        }
        let (in_hole, end) = match map.get(*part) {
            Some(&(offset, length)) if *position >= offset => (false, offset + length),
            Some(&(offset, _)) => (true, offset),
            None => (true, *size),
        };
        let most = buffer.len().min(usize::try_from(end - *position).unwrap_or(usize::MAX));
        if in_hole {
            buffer[..most].fill(0);
            *position += most as u64;
            return Ok(most);
        }
        let n = self.read_stored(&mut buffer[..most])?;
        if let Some(holes) = &mut self.holes {
            holes.position += n as u64;
        }
        Ok(n)
    }
}

/// What the `GNU.sparse.*` records said.
#[derive(Default)]
struct PaxSparse {
    major: Option<u32>,
    size: Option<u64>,
    name: Option<Vec<u8>>,
    list: Option<sparse::Map>,
    numbers: Vec<u64>,
}

impl PaxSparse {
    fn take(&mut self, key: &str, value: &[u8]) -> Option<()> {
        match key {
            "major" => self.major = Some(pax::number(value)?),
            "size" | "realsize" => self.size = Some(pax::number(value)?),
            "name" => self.name = Some(value.to_vec()),
            "map" => self.list = Some(sparse::parse_list(std::str::from_utf8(value).ok()?)?),
            "offset" | "numbytes" => self.numbers.push(pax::number(value)?),
            _ => {}
        }
        Some(())
    }

    fn is_used(&self) -> bool {
        self.major.is_some() || self.list.is_some() || !self.numbers.is_empty()
    }
}

fn padding_of(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

/// GNU's long names end with a NUL.
fn trim_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

/// The path in normal form: relative, without `.` and empty components; the
/// root itself is the empty path.
///
/// # Errors
/// Why it is refused: it is absolute, or has `..` or a NUL.
pub(crate) fn clean_path(path: &Path) -> Result<PathBuf, &'static str> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.starts_with(b"/") {
        return Err("its path is absolute");
    }
    let mut clean = PathBuf::new();
    for component in bytes.split(|&b| b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return Err("its path has a `..` component"),
            _ if component.len() > 255 => return Err("a component of its path is longer than 255 bytes"),
            _ => clean.push(std::ffi::OsStr::from_bytes(component)),
        }
    }
    if clean.components().count() > 255 {
        return Err("its path has more than 255 components");
    }
    Ok(clean)
}
