//! The header of a package: an index of tags, and a store of their values.
//!
//! Source: rpm's manual, "RPM V4 Package format", section "Header"; in the
//! databases it begins with the two lengths, without the magic number.

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
    pub(super) requires: Vec<String>,
    pub(super) provides: Vec<String>,
    directories: Vec<String>,
    /// Directory by number, and name in it.
    files: Vec<(u32, String)>,
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

    /// Paths of the files that it owns.
    pub(super) fn files(&self) -> impl Iterator<Item = String> {
        self.files.iter().filter_map(|(directory, name)| {
            Some(format!("{}{name}", self.directories.get(usize::try_from(*directory).ok()?)?))
        })
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
    for word in [&package.name, &package.version, &package.release, &package.architecture, &package.source] {
        if word.len() > WORD || word.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("its name or version is no word".into());
        }
    }
    // Damage to the rest does not make the package less installed.
    package.requires = header.strings(tag::REQUIRENAME).unwrap_or_default();
    package.requires.retain(|name| !name.starts_with("rpmlib("));
    package.requires.sort();
    package.requires.dedup();
    package.provides = header.strings(tag::PROVIDENAME).unwrap_or_default();
    package.directories = header.strings(tag::DIRNAMES).unwrap_or_default();
    let names = header.strings(tag::BASENAMES).unwrap_or_default();
    package.files = header.numbers(tag::DIRINDEXES).unwrap_or_default().into_iter().zip(names).collect();
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

    fn strings(&self, tag: u32) -> Result<Vec<String>, Unread> {
        let Some(entry) = self.entry(tag)? else { return Ok(Vec::new()) };
        if entry.kind != kind::STRING_ARRAY && entry.kind != kind::STRING {
            return Err(format!("tag {tag} is no list of texts").into());
        }
        let mut rest = &self.store[entry.offset..];
        let mut texts = Vec::new();
        for _ in 0..entry.count {
            let text = until_zero(rest).ok_or("a text does not end")?;
            rest = &rest[text.len() + 1..];
            texts.push(lossy(text));
        }
        Ok(texts)
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
