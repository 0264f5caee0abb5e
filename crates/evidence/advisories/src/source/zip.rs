//! Reading zip archives (APPNOTE.TXT 6.3, Zip64 included) entry by entry,
//! with every size checked and none believed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use flate2::{Crc, Decompress, FlushDecompress, Status};

/// One file of an archive, not read yet.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    method: u16,
    encrypted: bool,
    crc: u32,
    compressed: u64,
    size: u64,
    offset: u64,
}

impl Entry {
    /// Bytes it says it expands to; it is held to that when it is read.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

/// The directory of an archive.
pub(crate) struct Directory {
    len: u64,
    bytes: Vec<u8>,
    entries: u64,
}

/// Reads entries of an archive, one after the other.
pub(crate) struct Reader {
    file: File,
    len: u64,
    inflate: Decompress,
    input: Vec<u8>,
}

/// What is wrong with an archive as a whole, in words.
pub(crate) type Broken = String;

const END: u32 = 0x0605_4b50;
const END_64_LOCATOR: u32 = 0x0706_4b50;
const END_64: u32 = 0x0606_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const LOCAL: u32 = 0x0403_4b50;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// Most bytes of the central directory: a million entries take some hundred.
const MOST_DIRECTORY: u64 = 1 << 30;

impl Directory {
    /// Reads the directory at the archive's end.
    pub(crate) fn read(file: &File, most_entries: u64) -> Result<Self, Broken> {
        let len = file.metadata().map_err(|why| why.to_string())?.len();
        // The end record is followed by a comment of at most 65,535 bytes.
        let tail_len = len.min(22 + 65_535 + 20);
        let tail = read_at(file, len - tail_len, tail_len)?;
        let at = (0..tail.len().saturating_sub(21))
            .rev()
            .find(|at| u32_at(&tail, *at) == Some(END) && comment_fits(&tail, *at))
            .ok_or("it has no end record; it is not a zip archive or was cut off")?;
        let small = |offset| u32_at(&tail, at + offset).map(u64::from).ok_or("its end record is cut off");
        let (mut size, mut offset) = (small(12)?, small(16)?);
        let mut entries = u64::from(u16_at(&tail, at + 10).ok_or("its end record is cut off")?);
        let locator = at.checked_sub(20).filter(|at| u32_at(&tail, *at) == Some(END_64_LOCATOR));
        if let Some(locator) = locator {
            let end = u64_at(&tail, locator + 8).ok_or("its Zip64 locator is cut off")?;
            let record = read_at(file, end, 56)?;
            if u32_at(&record, 0) != Some(END_64) {
                return Err("its Zip64 end record is not where it should be".into());
            }
            let large = |offset| u64_at(&record, offset).ok_or("its Zip64 end record is cut off");
            (entries, size, offset) = (large(32)?, large(40)?, large(48)?);
        }
        if entries > most_entries {
            return Err(format!("it says that it has {entries} entries, more than {most_entries}"));
        }
        if size > MOST_DIRECTORY {
            return Err(format!("its directory is longer than {MOST_DIRECTORY} bytes"));
        }
        let bytes = read_at(file, offset, size)?;
        Ok(Self { len, bytes, entries })
    }

    /// Every entry that is a file, in the archive's order.
    ///
    /// Entries that share bytes are refused: that is how small archives are
    /// made to expand without end.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, Broken> {
        // The count is only a hint: a record takes 46 bytes at least.
        let room = self.entries.min(self.bytes.len() as u64 / 46);
        let mut entries = Vec::with_capacity(usize::try_from(room).unwrap_or(0));
        let (mut rest, mut together) = (&self.bytes[..], 0_u64);
        for _ in 0..self.entries {
            let (entry, after) = central(rest).ok_or("its directory is damaged")?;
            together = together.saturating_add(entry.compressed);
            rest = after;
            if !entry.name.ends_with('/') {
                entries.push(entry);
            }
        }
        if together > self.len {
            return Err("its entries overlap".into());
        }
        Ok(entries)
    }
}

impl Reader {
    pub(crate) fn new(file: File) -> Result<Self, Broken> {
        let len = file.metadata().map_err(|why| why.to_string())?.len();
        Ok(Self { file, len, inflate: Decompress::new(false), input: Vec::new() })
    }

    /// The bytes of an entry, checked against size and checksum.
    ///
    /// # Errors
    /// What is wrong with the entry, in words.
    pub(crate) fn read(&mut self, entry: &Entry, most: u64, output: &mut Vec<u8>) -> Result<(), String> {
        output.clear();
        if entry.encrypted {
            return Err("it is encrypted".into());
        }
        if entry.compressed > most || entry.size > most {
            return Err(format!("it is larger than {most} bytes"));
        }
        let header = read_at(&self.file, entry.offset, 30)?;
        if u32_at(&header, 0) != Some(LOCAL) {
            return Err("its header is not where the directory says".into());
        }
        let skip = |at| u16_at(&header, at).map_or(0, u64::from);
        let start = entry.offset.saturating_add(30 + skip(26) + skip(28));
        if start.saturating_add(entry.compressed) > self.len {
            return Err("it reaches past the end of the archive".into());
        }
        let compressed = usize::try_from(entry.compressed).map_err(|_| "it is too large")?;
        self.input.resize(compressed, 0);
        self.file.read_exact_at(&mut self.input, start).map_err(|why| why.to_string())?;
        match entry.method {
            STORED => output.extend_from_slice(&self.input),
            DEFLATED => self.inflate(most, entry.size, output)?,
            other => return Err(format!("its compression method {other} is not known")),
        }
        let mut crc = Crc::new();
        crc.update(output);
        if output.len() as u64 != entry.size || crc.sum() != entry.crc {
            return Err("its size or checksum is not what the directory says".into());
        }
        Ok(())
    }

    fn inflate(&mut self, most: u64, size: u64, output: &mut Vec<u8>) -> Result<(), String> {
        self.inflate.reset(false);
        // One byte more than announced, so that more is noticed.
        output.reserve(usize::try_from(size.min(most) + 1).map_err(|_| "it is too large")?);
        loop {
            let consumed = usize::try_from(self.inflate.total_in()).map_err(|_| "it is too large")?;
            let rest = self.input.get(consumed..).unwrap_or_default();
            let before = output.len();
            let status = self.inflate.decompress_vec(rest, output, FlushDecompress::Finish);
            match status.map_err(|why| why.to_string())? {
                Status::StreamEnd => return Ok(()),
                _ if output.len() as u64 > size => return Err("it expands to more than it says".into()),
                _ if output.len() == before => return Err("it is cut off".into()),
                _ => {}
            }
        }
    }
}

fn comment_fits(tail: &[u8], at: usize) -> bool {
    u16_at(tail, at + 20).is_some_and(|comment| at + 22 + usize::from(comment) <= tail.len())
}

/// The first record of the central directory, and what follows it.
fn central(record: &[u8]) -> Option<(Entry, &[u8])> {
    if u32_at(record, 0)? != CENTRAL {
        return None;
    }
    let length = |at| u16_at(record, at).map(usize::from);
    let (name, extra, comment) = (length(28)?, length(30)?, length(32)?);
    let extra_at = 46 + name;
    let end = extra_at + extra + comment;
    let (record, after) = record.split_at_checked(end)?;
    let mut entry = Entry {
        name: String::from_utf8_lossy(&record[46..extra_at]).into_owned(),
        method: u16_at(record, 10)?,
        encrypted: u16_at(record, 8)? & 1 != 0,
        crc: u32_at(record, 16)?,
        compressed: u32_at(record, 20)?.into(),
        size: u32_at(record, 24)?.into(),
        offset: u32_at(record, 42)?.into(),
    };
    // Zip64: what does not fit above is here, in this order.
    let mut fields = &record[extra_at..extra_at + extra];
    while let (Some(tag), Some(len)) = (u16_at(fields, 0), u16_at(fields, 2)) {
        let (field, rest) = fields[4..].split_at_checked(len.into())?;
        if tag == 1 {
            let mut at = 0;
            for value in [&mut entry.size, &mut entry.compressed, &mut entry.offset] {
                if *value == u64::from(u32::MAX) {
                    *value = u64_at(field, at)?;
                    at += 8;
                }
            }
        }
        fields = rest;
    }
    Some((entry, after))
}

fn read_at(file: &File, offset: u64, len: u64) -> Result<Vec<u8>, Broken> {
    let size = file.metadata().map_err(|why| why.to_string())?.len();
    if offset.checked_add(len).is_none_or(|end| end > size) {
        return Err("it was cut off".into());
    }
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| "it is too large")?];
    file.read_exact_at(&mut bytes, offset).map_err(|why: io::Error| why.to_string())?;
    Ok(bytes)
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes_at(bytes, at).map(u64::from_le_bytes)
}
