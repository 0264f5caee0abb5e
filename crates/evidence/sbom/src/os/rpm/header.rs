//! The header of a package: an index of tags, and a store of their values.
//!
//! Source: rpm's manual, "RPM V4 Package format", section "Header"; in the
//! databases it begins with the two lengths, without the magic number.

use std::borrow::Cow;

use crate::catalog::Unread;

/// What is taken from a header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) release: String,
    pub(super) epoch: Option<u32>,
    pub(super) architecture: String,
    pub(super) licence: String,
    /// File name of the source package.
    pub(super) source: String,
    requires: Texts,
    provides: Texts,
    directories: Texts,
    names: Texts,
    /// For each name the number of its directory.
    places: Vec<u32>,
}

/// Texts as the store has them: one after the other, each with a zero at its
/// end. Many short ones would need ten times as much as strings of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Texts(Box<[u8]>);

impl Texts {
    fn iter(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.0.split_inclusive(|&byte| byte == 0).map(|text| String::from_utf8_lossy(&text[..text.len() - 1]))
    }
}

impl Package {
    /// `version-release`, as the package URL has it.
    pub(super) fn full_version(&self) -> String {
        if self.release.is_empty() {
            self.version.clone()
        } else {
            format!("{}-{}", self.version, self.release)
        }
    }

    /// What it needs: packages, and what they provide.
    pub(super) fn requires(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.requires.iter().filter(|name| !name.starts_with("rpmlib("))
    }

    /// What it provides.
    pub(super) fn provides(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.provides.iter()
    }

    /// Paths of the files that it owns.
    pub(super) fn files(&self) -> impl Iterator<Item = String> {
        let directories: Vec<Cow<'_, str>> = self.directories.iter().collect();
        self.places.iter().zip(self.names.iter()).filter_map(move |(place, name)| {
            Some(format!("{}{name}", directories.get(usize::try_from(*place).ok()?)?))
        })
    }

    /// Bytes that it keeps, roughly.
    pub(super) fn weight(&self) -> usize {
        let texts = [&self.requires, &self.provides, &self.directories, &self.names];
        500 + self.licence.len()
            + 4 * self.places.len()
            + texts.map(|texts| texts.0.len()).iter().sum::<usize>()
    }
}

mod tag {
    pub(super) const NAME: u32 = 1000;
    pub(super) const VERSION: u32 = 1001;
    pub(super) const RELEASE: u32 = 1002;
    pub(super) const EPOCH: u32 = 1003;
    pub(super) const LICENSE: u32 = 1014;
    pub(super) const ARCH: u32 = 1022;
    pub(super) const SOURCERPM: u32 = 1044;
    pub(super) const PROVIDENAME: u32 = 1047;
    pub(super) const REQUIRENAME: u32 = 1049;
    pub(super) const DIRINDEXES: u32 = 1116;
    pub(super) const BASENAMES: u32 = 1117;
    pub(super) const DIRNAMES: u32 = 1118;
}

mod kind {
    pub(super) const INT32: u32 = 4;
    pub(super) const STRING: u32 = 6;
    pub(super) const STRING_ARRAY: u32 = 8;
    pub(super) const I18N_STRING: u32 = 9;
}

/// A licence is a text of some words.
const LICENCE: usize = 10_000;
/// As rpm itself refuses more.
const ENTRIES: u32 = 0xffff;
const STORE: u32 = 0x0fff_ffff;
/// Values of one tag. Kernel packages own some ten thousand files.
const VALUES: u32 = 500_000;
/// Bytes of a name or version.
const WORD: usize = 1024;

/// Reads a header. `None`: it is no package but a key that was imported.
pub(super) fn package(blob: &[u8]) -> Result<Option<Package>, Unread> {
    let header = Header::new(blob)?;
    let mut package = Package {
        name: header.string(tag::NAME)?.ok_or("it has no name")?,
        version: header.string(tag::VERSION)?.ok_or("it has no version")?,
        release: header.string(tag::RELEASE)?.unwrap_or_default(),
        epoch: header.numbers(tag::EPOCH)?.first().copied(),
        architecture: header.string(tag::ARCH)?.unwrap_or_default(),
        licence: header.string(tag::LICENSE)?.unwrap_or_default(),
        source: header.string(tag::SOURCERPM)?.unwrap_or_default(),
        ..Package::default()
    };
    if package.name == "gpg-pubkey" {
        return Ok(None);
    }
    package.licence.truncate(package.licence.floor_char_boundary(LICENCE));
    for word in [&package.name, &package.version, &package.release, &package.architecture, &package.source] {
        if word.len() > WORD || word.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("its name or version is no word".into());
        }
    }
    // Damage to the rest does not make the package less installed.
    package.requires = header.texts(tag::REQUIRENAME).unwrap_or_default();
    package.provides = header.texts(tag::PROVIDENAME).unwrap_or_default();
    package.directories = header.texts(tag::DIRNAMES).unwrap_or_default();
    package.names = header.texts(tag::BASENAMES).unwrap_or_default();
    package.places = header.numbers(tag::DIRINDEXES).unwrap_or_default();
    Ok(Some(package))
}

/// Index and store.
struct Header<'a> {
    index: &'a [u8],
    store: &'a [u8],
}

/// Where the values of a tag are.
struct Entry {
    kind: u32,
    offset: usize,
    count: u32,
}

impl<'a> Header<'a> {
    fn new(blob: &'a [u8]) -> Result<Self, Unread> {
        let (entries, size) = big_endian(blob, 0).zip(big_endian(blob, 4)).ok_or("it ends too early")?;
        if entries == 0 || entries > ENTRIES || size > STORE {
            return Err("its lengths are impossible".into());
        }
        let index = 8..8 + entries as usize * 16;
        let store = index.end..index.end + size as usize;
        match (blob.get(index), blob.get(store)) {
            (Some(index), Some(store)) => Ok(Self { index, store }),
            _ => Err("it ends too early".into()),
        }
    }

    fn entry(&self, tag: u32) -> Result<Option<Entry>, Unread> {
        let Some(row) = self.index.chunks_exact(16).find(|row| big_endian(row, 0) == Some(tag)) else {
            return Ok(None);
        };
        let field = |at| big_endian(row, at).expect("a row has sixteen bytes");
        let (kind, offset, count) = (field(4), field(8) as usize, field(12));
        if offset > self.store.len() || count > VALUES {
            return Err(format!("the place of tag {tag} is impossible").into());
        }
        Ok(Some(Entry { kind, offset, count }))
    }

    fn string(&self, tag: u32) -> Result<Option<String>, Unread> {
        match self.entry(tag)? {
            Some(Entry { kind: kind::STRING | kind::I18N_STRING | kind::STRING_ARRAY, offset, .. }) => {
                Ok(Some(lossy(until_zero(&self.store[offset..]).ok_or("a text does not end")?)))
            }
            Some(_) => Err(format!("tag {tag} is no text").into()),
            None => Ok(None),
        }
    }

    fn texts(&self, tag: u32) -> Result<Texts, Unread> {
        let Some(entry) = self.entry(tag)? else { return Ok(Texts::default()) };
        if entry.kind != kind::STRING_ARRAY && entry.kind != kind::STRING {
            return Err(format!("tag {tag} is no list of texts").into());
        }
        let all = &self.store[entry.offset..];
        let mut length = 0;
        for _ in 0..entry.count {
            length += until_zero(&all[length..]).ok_or("a text does not end")?.len() + 1;
        }
        Ok(Texts(all[..length].into()))
    }

    fn numbers(&self, tag: u32) -> Result<Vec<u32>, Unread> {
        let Some(entry) = self.entry(tag)? else { return Ok(Vec::new()) };
        let numbers = self.store.get(entry.offset..).and_then(|rest| rest.get(..entry.count as usize * 4));
        match numbers {
            Some(bytes) if entry.kind == kind::INT32 => {
                Ok(bytes.chunks_exact(4).filter_map(|four| big_endian(four, 0)).collect())
            }
            _ => Err(format!("tag {tag} is no list of numbers").into()),
        }
    }
}

fn until_zero(bytes: &[u8]) -> Option<&[u8]> {
    bytes.iter().position(|&b| b == 0).map(|end| &bytes[..end])
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn big_endian(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().expect("there are four bytes")))
}
