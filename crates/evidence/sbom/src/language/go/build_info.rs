//! The build information that the Go linker writes into every executable:
//! version of the toolchain, main module, dependencies and build settings.
//!
//! Source: Go, `src/debug/buildinfo/buildinfo.go` (both layouts) and
//! `src/runtime/debug/mod.go` (the text).

use super::go_module;
use crate::Component;
use crate::catalog::{Content, Unread};
use crate::language::elf::{Elf, Range};
use crate::language::reading::{Reading, excerpt};

const MAGIC: &[u8] = b"\xff Go buildinf:";

/// The header lies at an address that is divided by this.
const ALIGNMENT: usize = 16;

/// Bytes of the header before inline strings.
const HEADER: u64 = 32;

/// How far into the data of an executable without section headers the header
/// is looked for; the linker puts it first.
const SEARCHED: u64 = 4 << 20;

/// The most bytes of one text; the largest executables have a hundred KB.
const LONGEST: u64 = 4 << 20;

/// What one executable was built from.
#[derive(Debug, Default)]
pub(crate) struct BuildInfo {
    /// Path of the main module; empty for executables of old or no modules.
    pub(super) main: String,
    /// It is part of the toolchain itself, which has no modules.
    pub(super) is_toolchain: bool,
    pub(super) components: Vec<Component>,
    pub(super) warnings: Vec<String>,
}

/// Reads an ELF file; `None` where it was not made by Go.
pub(super) fn read(content: &mut Content<'_>) -> Result<Option<BuildInfo>, Unread> {
    // Files that only begin like ELF are no concern of this cataloger.
    let Ok(elf) = Elf::read(content) else { return Ok(None) };
    let Some(header) = find(content, &elf)? else { return Ok(None) };
    let (version, text) = strings(content, &elf, header)
        .map_err(|why| Unread::new(format!("its Go build information cannot be read: {}", why.reason())))?;
    Ok(Some(parse(&version, &text)))
}

/// Where the header is.
fn find(content: &mut Content<'_>, elf: &Elf) -> Result<Option<Range>, Unread> {
    let section = elf.section(".go.buildinfo");
    let places: Vec<Range> = match section {
        Some(section) => vec![section],
        None if elf.has_sections() => vec![],
        None => elf.data().take(4).collect(),
    };
    for Range { offset, size } in places {
        let bytes = content.slice(offset, size.min(SEARCHED))?;
        let found = bytes.chunks(ALIGNMENT).position(|chunk| chunk.starts_with(MAGIC));
        if let Some(at) = found.map(|chunk| (chunk * ALIGNMENT) as u64) {
            return Ok(Some(Range { offset: offset + at, size: size - at }));
        }
    }
    match section {
        Some(_) => Err("its section .go.buildinfo does not begin as Go writes it".into()),
        None => Ok(None),
    }
}

/// Version and text, in either layout.
fn strings(content: &mut Content<'_>, elf: &Elf, header: Range) -> Result<(String, String), Unread> {
    let start = content.slice(header.offset, HEADER.min(header.size))?;
    let [word, flags] = *start.get(14..16).and_then(<[u8]>::first_chunk).ok_or("it ends in its header")?;
    let (version, text) = if flags & 2 != 0 {
        // Since Go 1.18: two strings, each after its length.
        let mut at = header.offset + HEADER;
        let end = header.offset + header.size;
        (inline(content, &mut at, end)?, inline(content, &mut at, end)?)
    } else {
        let reader = Pointers { word: word.into(), big: flags & 1 != 0 };
        if reader.word != 4 && reader.word != 8 {
            return Err(format!("it has pointers of {word} bytes").into());
        }
        let (first, second) = (reader.number(&start, 16), reader.number(&start, 16 + usize::from(word)));
        let missing = || Unread::from("it ends in its header");
        let version = reader.string(content, elf, first.ok_or_else(missing)?)?;
        (version, reader.string(content, elf, second.ok_or_else(missing)?)?)
    };
    Ok((String::from_utf8_lossy(&version).into_owned(), text_of(&text)))
}

/// The text without the sixteen bytes of noise on either side by which the
/// runtime finds it.
fn text_of(bytes: &[u8]) -> String {
    let inner = bytes.len().checked_sub(16).and_then(|end| bytes.get(16..end));
    match inner {
        Some(inner) if inner.ends_with(b"\n") => String::from_utf8_lossy(inner).into_owned(),
        _ => String::new(),
    }
}

/// A string after its length as an unsigned LEB128.
fn inline(content: &mut Content<'_>, at: &mut u64, end: u64) -> Result<Vec<u8>, Unread> {
    let room = end.min(content.size()).saturating_sub(*at);
    let start = content.slice(*at, room.min(10))?;
    let (mut length, mut shift) = (0_u64, 0);
    for byte in start {
        *at += 1;
        length |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        shift += 7;
        if byte & 0x80 == 0 {
            if length > LONGEST {
                return Err(format!("a text of {length} bytes").into());
            }
            let text = content.slice(*at, length)?;
            *at += length;
            return Ok(text);
        }
    }
    Err("a length without an end".into())
}

/// Before Go 1.18: pointers to string headers, which are a pointer and a
/// length.
struct Pointers {
    word: u64,
    big: bool,
}

impl Pointers {
    fn string(&self, content: &mut Content<'_>, elf: &Elf, address: u64) -> Result<Vec<u8>, Unread> {
        let lost = || Unread::from("a pointer leads out of the file");
        let header = elf.at_address(address).filter(|place| place.size >= 2 * self.word).ok_or_else(lost)?;
        let header = content.slice(header.offset, 2 * self.word)?;
        let word = usize::try_from(self.word).map_err(|_| lost())?;
        let (start, length) = self.number(&header, 0).zip(self.number(&header, word)).ok_or_else(lost)?;
        if length == 0 {
            return Ok(Vec::new());
        }
        if length > LONGEST {
            return Err(format!("a text of {length} bytes").into());
        }
        let place = elf.at_address(start).filter(|place| place.size >= length).ok_or_else(lost)?;
        content.slice(place.offset, length)
    }

    fn number(&self, bytes: &[u8], at: usize) -> Option<u64> {
        let rest = bytes.get(at..)?;
        Some(match (self.word, self.big) {
            (4, false) => u32::from_le_bytes(*rest.first_chunk()?).into(),
            (4, true) => u32::from_be_bytes(*rest.first_chunk()?).into(),
            (_, false) => u64::from_le_bytes(*rest.first_chunk()?),
            (_, true) => u64::from_be_bytes(*rest.first_chunk()?),
        })
    }
}

/// Makes components of the text.
fn parse(version: &str, text: &str) -> BuildInfo {
    let mut reading = Reading::default();
    let mut main: Option<Component> = None;
    let mut main_path = String::new();
    let mut settings = Vec::new();
    // The last dependency: a replacement may follow it.
    let mut pending: Option<Component> = None;
    let (mut after_main, mut is_toolchain) = (false, false);
    for line in text.lines() {
        let mut fields = line.split('\t');
        let kind = fields.next().unwrap_or_default();
        let (path, version) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        match kind {
            "path" => is_toolchain = path.starts_with("cmd/"),
            "mod" => {
                main_path = path.into();
                main = Some(go_module(path, released(version)));
                after_main = true;
            }
            "dep" => {
                pending.take().into_iter().for_each(|component| reading.push(component));
                pending = Some(go_module(path, released(version)));
                after_main = false;
            }
            "=>" => {
                let replaced = if after_main { &mut main } else { &mut pending };
                // A directory of the builder has no version: then the code is
                // not that of the version that was asked for.
                let local = version.is_empty() && (path.starts_with('.') || path.starts_with('/'));
                match replaced {
                    Some(component) if local => component.version.clear(),
                    Some(component) => *component = go_module(path, released(version)),
                    None => reading.warn("its Go build information has a replacement of nothing"),
                }
            }
            "build" => {
                settings.extend(line.split_once('\t').and_then(|(_, setting)| setting.split_once('=')))
            }
            _ => {}
        }
    }
    reading.components.extend(pending);
    if let Some(version) = toolchain(version) {
        reading.push(Component::new("golang", "stdlib", version));
    } else {
        reading.warn(format!("it was built by a Go without a released version: {}", excerpt(version)));
        reading.push(Component::new("golang", "stdlib", ""));
    }
    if let Some(mut main) = main {
        main.depends_on = reading.components.iter().map(Component::base_purl).collect();
        main.qualifiers.extend(revision(&main_path, &settings));
        reading.push(main);
    }
    BuildInfo { main: main_path, is_toolchain, components: reading.components, warnings: reading.warnings }
}

/// A version of a module; `(devel)` is none.
fn released(version: &str) -> &str {
    if version == "(devel)" { "" } else { version }
}

/// `1.22.3` of `go1.22.3` and `go1.22.3 X:nocoverageredesign`; there is none
/// for development versions.
fn toolchain(version: &str) -> Option<&str> {
    let number = version.split([' ', '-']).next()?.strip_prefix("go")?;
    let number = number.split('+').next()?;
    number.starts_with(|c: char| c.is_ascii_digit()).then_some(number)
}

/// The commit that was built, for modules whose path is that of a repository
/// on a host where this is known to be so.
fn revision(path: &str, settings: &[(&str, &str)]) -> Option<(String, String)> {
    const HOSTS: [&str; 3] = ["github.com", "gitlab.com", "bitbucket.org"];
    let value = |key| settings.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
    let commit = value("vcs.revision")?;
    let mut parts = path.split('/');
    let (host, owner, name) = (parts.next()?, parts.next()?, parts.next()?);
    let is_git = value("vcs") == Some("git") && HOSTS.contains(&host);
    is_git.then(|| ("vcs_url".into(), format!("git+https://{host}/{owner}/{name}@{commit}")))
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Limits;
    use crate::catalog::Budget;
    use crate::language::elf::tests::with_section;
    use crate::language::testing::torture;

    const NOISE: &[u8] = &[0xaa; 16];

    /// The layout since Go 1.18.
    pub(in crate::language::go) fn inline(version: &str, text: &str) -> Vec<u8> {
        let mut bytes = [MAGIC, &[8, 2]].concat();
        bytes.resize(32, 0);
        for text in [version.as_bytes().to_vec(), [NOISE, text.as_bytes(), NOISE].concat()] {
            let mut length = text.len();
            while length >= 0x80 {
                bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                length >>= 7;
            }
            bytes.push(u8::try_from(length).unwrap());
            bytes.extend(text);
        }
        bytes
    }

    /// The layout before, loaded at 0x10000.
    fn pointers(version: &str, text: &str) -> Vec<u8> {
        let text = [NOISE, text.as_bytes(), NOISE].concat();
        let mut bytes = [MAGIC, &[8, 0]].concat();
        let base = 0x10000_u64;
        let long = |bytes: &mut Vec<u8>, value: u64| bytes.extend(value.to_le_bytes());
        for value in [base + 32, base + 48, base + 64, version.len() as u64] {
            long(&mut bytes, value);
        }
        long(&mut bytes, base + 64 + version.len() as u64);
        long(&mut bytes, text.len() as u64);
        [bytes, version.into(), text].concat()
    }

    fn read_bytes(bytes: &[u8]) -> Result<Option<BuildInfo>, Unread> {
        let budget = Budget::new(Limits::default());
        read(&mut Content::memory(bytes, &budget))
    }

    const TEXT: &str = "path\tgithub.com/acme/app/cmd/app\nmod\tgithub.com/acme/app\t(devel)\t\n\
        dep\tgithub.com/a/b/v2\tv2.1.0\th1:x=\ndep\texample.com/old\tv1.0.0\n=>\texample.com/fork\tv1.0.1\th1:y=\n\
        dep\texample.com/local\tv0.1.0\n=>\t./local\t\t\nbuild\tvcs=git\nbuild\tvcs.revision=0123abcd\n";

    #[test]
    fn both_layouts_say_the_same() {
        for content in [inline("go1.17.1", TEXT), pointers("go1.17.1", TEXT)] {
            let mut file = with_section(".go.buildinfo", &content);
            for _ in 0..2 {
                let info = read_bytes(&file).unwrap().unwrap();
                let purls: Vec<String> = info.components.iter().map(|c| c.purl().to_string()).collect();
                assert_eq!(
                    purls,
                    [
                        "pkg:golang/github.com/a/b/v2@v2.1.0",
                        "pkg:golang/example.com/fork@v1.0.1",
                        "pkg:golang/example.com/local",
                        "pkg:golang/stdlib@1.17.1",
                        "pkg:golang/github.com/acme/app?vcs_url=git%2Bhttps:%2F%2Fgithub.com%2Facme%2Fapp%400123abcd",
                    ]
                );
                assert_eq!(info.components[4].depends_on.len(), 4);
                assert_eq!(info.main, "github.com/acme/app");
                // The second time without section headers.
                file[40..48].fill(0);
                file[60..62].fill(0);
            }
        }
    }

    #[test]
    fn other_executables_have_none() {
        assert!(read_bytes(&with_section(".text", b"\x90")).unwrap().is_none());
        assert!(read_bytes(b"\x7fELF").unwrap().is_none());
    }

    #[test]
    fn versions_of_toolchains() {
        for (text, expected) in [
            ("go1.22.3", Some("1.22.3")),
            ("go1.22.3 X:nocoverageredesign", Some("1.22.3")),
            ("go1.21rc2", Some("1.21rc2")),
            ("go1.24.1-custom", Some("1.24.1")),
            ("devel go1.23-abcdef", None),
            ("", None),
        ] {
            assert_eq!(toolchain(text), expected, "{text}");
        }
    }

    #[test]
    fn damage_is_an_error_or_a_warning() {
        for content in [inline("go1.17.1", TEXT), pointers("go1.17.1", TEXT)] {
            torture(&with_section(".go.buildinfo", &content), |bytes| drop(read_bytes(bytes)));
        }
        let mut endless = inline("go1", "");
        endless[32..].fill(0xff);
        let error = read_bytes(&with_section(".go.buildinfo", &endless)).unwrap_err();
        assert!(error.reason().contains("length without an end"), "{}", error.reason());
        let mut lost = pointers("go1", "x\n");
        lost[16..24].fill(0x7f);
        let error = read_bytes(&with_section(".go.buildinfo", &lost)).unwrap_err();
        assert!(error.reason().contains("out of the file"), "{}", error.reason());
        assert_eq!(parse("go1.20", "=>\tx\tv1\n").warnings.len(), 1);
    }
}
