//! The bytes of the index: numbers, texts, blocks with checksums, tables.

use aws_lc_rs::digest;

use crate::advisory::EventKind;

/// First and last bytes of an index. The digits change with the form, and with
/// what is read out of an advisory.
pub(crate) const MAGIC: [u8; 8] = *b"PLMADV01";
/// Magic, offset of the root, length of the root, SHA-256 of the root.
pub(crate) const FOOTER: usize = 8 + 8 + 8 + 32;
/// A block is closed once it has this many bytes. Smaller ones cost more room
/// in the table, larger ones more reading for a single look-up.
pub(crate) const BLOCK: usize = 8 << 10;
/// The longest block that is read: one package may have thousands of advisories.
pub(crate) const MOST_BLOCK: u64 = 256 << 20;
/// The longest root that is read.
pub(crate) const MOST_ROOT: u64 = 256 << 20;

/// The index is not what was written: it is built anew, never believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged(pub(crate) &'static str);

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// The first half of a SHA-256: enough to notice damage.
pub(crate) fn check(bytes: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&sha256(bytes)[..16]);
    half
}

/// A number in 1 to 10 bytes, seven bits each, lowest first (LEB128).
pub(crate) fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A length and that many bytes.
pub(crate) fn put_bytes(bytes: &mut Vec<u8>, part: &[u8]) {
    put_number(bytes, part.len() as u64);
    bytes.extend_from_slice(part);
}

pub(crate) fn put_texts(bytes: &mut Vec<u8>, texts: &[String]) {
    put_number(bytes, texts.len() as u64);
    texts.iter().for_each(|text| put_bytes(bytes, text.as_bytes()));
}

/// Seconds since 1970, or nothing.
pub(crate) fn put_seconds(bytes: &mut Vec<u8>, seconds: Option<i64>) {
    bytes.extend_from_slice(&seconds.unwrap_or(i64::MIN).to_le_bytes());
}

/// Reads what the functions above wrote. It never reads past the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

const SHORT: Damaged = Damaged("it ends too early");

impl<'a> Cursor<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Damaged> {
        let (part, rest) = self.0.split_at_checked(len).ok_or(SHORT)?;
        self.0 = rest;
        Ok(part)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        self.take(N)?.try_into().map_err(|_| SHORT)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Damaged> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Damaged("a number is too long"))
    }

    /// A count of things of at least one byte each, so it cannot be larger
    /// than what is left.
    pub(crate) fn count(&mut self) -> Result<usize, Damaged> {
        let count = usize::try_from(self.number()?).map_err(|_| SHORT)?;
        if count > self.0.len() { Err(SHORT) } else { Ok(count) }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let len = self.count()?;
        self.take(len)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Damaged> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damaged("a text is not UTF-8"))
    }

    pub(crate) fn texts(&mut self) -> Result<Vec<String>, Damaged> {
        (0..self.count()?).map(|_| self.text().map(Into::into)).collect()
    }

    pub(crate) fn seconds(&mut self) -> Result<Option<i64>, Damaged> {
        let seconds = i64::from_le_bytes(self.array()?);
        Ok(Some(seconds).filter(|seconds| *seconds != i64::MIN))
    }

    /// One of a fixed list, by its position.
    pub(crate) fn choice<T: Copy>(&mut self, all: &[T]) -> Result<T, Damaged> {
        all.get(usize::from(self.byte()?)).copied().ok_or(Damaged("a value is not one that is known"))
    }
}

/// The position of a value in its list, for [`Cursor::choice`].
pub(crate) fn position<T: PartialEq>(all: &[T], value: &T) -> u8 {
    let at = all.iter().position(|known| known == value).expect("ALL lists every value");
    u8::try_from(at).expect("the lists are short")
}

/// Where a block is and what it must hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// Key of its first record.
    pub(crate) first: Vec<u8>,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) check: [u8; 16],
}

/// The blocks of one kind of record, ordered by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table(pub(crate) Vec<Block>);

impl Table {
    pub(crate) fn put(&self, bytes: &mut Vec<u8>) {
        put_number(bytes, self.0.len() as u64);
        for block in &self.0 {
            put_bytes(bytes, &block.first);
            put_number(bytes, block.offset);
            put_number(bytes, block.len);
            bytes.extend_from_slice(&block.check);
        }
    }

    pub(crate) fn get(cursor: &mut Cursor<'_>) -> Result<Self, Damaged> {
        let block = |cursor: &mut Cursor<'_>| {
            let first = cursor.bytes()?.to_vec();
            Ok(Block { first, offset: cursor.number()?, len: cursor.number()?, check: cursor.array()? })
        };
        let blocks = (0..cursor.count()?).map(|_| block(cursor)).collect::<Result<Vec<_>, _>>()?;
        if blocks.iter().any(|block| block.len > MOST_BLOCK) {
            return Err(Damaged("a block is too long"));
        }
        Ok(Self(blocks))
    }

    /// The only block that can hold a key.
    pub(crate) fn position(&self, key: &[u8]) -> Option<usize> {
        self.0.partition_point(|block| block.first.as_slice() <= key).checked_sub(1)
    }
}

/// The version that stands for "before every version" in a range.
pub(crate) fn is_beginning(kind: EventKind, version: &str) -> bool {
    kind == EventKind::Introduced && version == "0"
}
