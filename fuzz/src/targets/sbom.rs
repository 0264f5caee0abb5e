//! What is in images, and what is said about it: databases of packages,
//! executables, archives, lock files, documents.

use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use plimsoll_evidence_sbom::{Bom, Format, Options, ParsedPurl, Source, diff, generate};

use super::{folder, named, way};

/// What a bill of materials says, and that it can be written and read again.
fn way_of(bom: &Bom) -> u64 {
    for format in [Format::CycloneDx, Format::Spdx] {
        let bytes = bom.to_bytes(format);
        assert_eq!(bytes, bom.to_bytes(format), "the same gives the same");
        let again = Bom::parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", format.name()));
        let changes = diff(bom, &again);
        assert!(again.components.len() <= bom.components.len(), "{} adds {changes:?}", format.name());
    }
    let warnings: Vec<&str> = bom.warnings.iter().map(|warning| warning.reason.as_str()).collect();
    way(&format!("{} {}", "x".repeat(bom.components.len().min(20)), warnings.join(" ")))
}

/// A directory with these files.
fn directory(files: &[(&str, &[u8])]) -> u64 {
    let folder = super::folder();
    for (path, bytes) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("the folder is writable");
        std::fs::write(&path, bytes).expect("the folder is writable");
    }
    let options = Options { name: Some("fuzz".into()), ..Options::default() };
    let bom = generate(&Source::directory(folder.path()), &options);
    way_of(&bom.expect("a directory that is there is read"))
}

pub(super) fn dpkg(input: &[u8]) -> u64 {
    directory(&[("etc/os-release", b"ID=debian\nVERSION_ID=12\n"), ("var/lib/dpkg/status", input)])
}

pub(super) fn apk(input: &[u8]) -> u64 {
    directory(&[("etc/os-release", b"ID=alpine\nVERSION_ID=3.19.1\n"), ("lib/apk/db/installed", input)])
}

pub(super) fn rpm_sqlite(input: &[u8]) -> u64 {
    directory(&[("var/lib/rpm/rpmdb.sqlite", input)])
}

pub(super) fn rpm_ndb(input: &[u8]) -> u64 {
    directory(&[("usr/lib/sysimage/rpm/Packages.db", input)])
}

pub(super) fn rpm_bdb(input: &[u8]) -> u64 {
    directory(&[("var/lib/rpm/Packages", input)])
}

/// A header alone, in a sound ndb database.
pub(super) fn rpm_header(input: &[u8]) -> u64 {
    let length = u32::try_from(input.len()).expect("inputs are short");
    let numbers = |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>();
    let mut blob = [b"BlbS", &numbers(&[1, 1, length])[..], input].concat();
    // The blob fills blocks of 16 bytes, the last twelve of which are its tail.
    blob.resize((blob.len() + 12).next_multiple_of(16) - 12, 0);
    blob.extend(numbers(&[0, length]));
    blob.extend(b"BlbE");
    let blocks = u32::try_from(blob.len() / 16).expect("inputs are short");
    let mut slots =
        [b"RpmP", &numbers(&[0, 1, 1, 5, 0, 0, 0])[..], b"Slot", &numbers(&[1, 256, blocks])].concat();
    while slots.len() < 4096 {
        slots.extend(b"Slot\0\0\0\0\0\0\0\0\0\0\0\0");
    }
    slots.extend(blob);
    rpm_ndb(&slots)
}

pub(super) fn elf(input: &[u8]) -> u64 {
    directory(&[("usr/bin/program", input), ("usr/lib/libx.so.1", input)])
}

/// An executable with one section.
fn executable(section: &str, content: &[u8]) -> Vec<u8> {
    let names = format!("\0{section}\0.shstrtab\0");
    let mut bytes = vec![0; 64];
    let content_at = bytes.len() as u64;
    bytes.extend(content);
    let names_at = bytes.len() as u64;
    bytes.extend(names.as_bytes());
    let headers_at = bytes.len() as u64;
    let header = |name: u32, kind: u32, at: u64, size: u64| {
        let mut header = Vec::new();
        header.extend(name.to_le_bytes());
        header.extend(kind.to_le_bytes());
        [2, 0x40_0000 + at, at, size].iter().for_each(|word: &u64| header.extend(word.to_le_bytes()));
        header.resize(64, 0);
        header
    };
    bytes.extend([0; 64]);
    bytes.extend(header(1, 1, content_at, content.len() as u64));
    bytes.extend(header(section.len() as u32 + 2, 3, names_at, names.len() as u64));
    // The head: ELF, 64 bits, little-endian, executable, x86-64.
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[16..24].copy_from_slice(&[2, 0, 62, 0, 1, 0, 0, 0]);
    bytes[40..48].copy_from_slice(&headers_at.to_le_bytes());
    bytes[52..64].copy_from_slice(&[64, 0, 56, 0, 0, 0, 64, 0, 3, 0, 2, 0]);
    bytes
}

/// What `cargo auditable` puts into an executable, before it is compressed.
pub(super) fn auditable(input: &[u8]) -> u64 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(input).expect("a vector can be written to");
    elf(&executable(".dep-v0", &encoder.finish().expect("a vector can be written to")))
}

pub(super) fn go_build_info(input: &[u8]) -> u64 {
    elf(&executable(".go.buildinfo", input))
}

pub(super) fn jar(input: &[u8]) -> u64 {
    directory(&[("opt/app/app-1.0.jar", input)])
}

/// One entry of a sound archive: its name, then what it holds.
pub(super) fn jar_entry(input: &[u8]) -> u64 {
    let (name, content) = named(input);
    jar(&archive(&name[..name.len().min(1000)], content))
}

/// A zip archive with one entry that is stored (APPNOTE, 4.3).
pub(super) fn archive(name: &[u8], content: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    let length = u32::try_from(content.len()).expect("inputs are short").to_le_bytes();
    let named = u16::try_from(name.len()).expect("names are short").to_le_bytes();
    // From "version needed" to "extra field length", the same in both headers.
    let common = [
        &[10, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x50][..],
        &crc.sum().to_le_bytes(),
        &length,
        &length,
        &named,
        &[0, 0],
    ]
    .concat();
    let mut bytes = [b"PK\x03\x04", &common[..], name, content].concat();
    let at = u32::try_from(bytes.len()).expect("inputs are short").to_le_bytes();
    let entry = [b"PK\x01\x02\x0a\0", &common[..], &[0; 14], name].concat();
    bytes.extend(&entry);
    let size = u32::try_from(entry.len()).expect("names are short").to_le_bytes();
    bytes.extend([b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &size[..], &at, &[0, 0]].concat());
    bytes
}

/// A path, then the file: as a lock file of the commit, and in the image.
pub(super) fn file(input: &[u8]) -> u64 {
    let (path, content) = named(input);
    let path = String::from_utf8_lossy(path).into_owned();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    let safe = path.chars().all(plain) && path.len() < 200 && !path.contains("..") && !path.contains("//");
    let ends = path.starts_with('/') || path.ends_with(['/', '.']) || path.is_empty();
    let installed = if safe && !ends && !path.contains("/./") && !path.starts_with("./") {
        directory(&[(&path, content)])
    } else {
        0
    };
    let empty = folder();
    let lock_files = vec![(path, content.to_vec())];
    let options = Options { name: Some("fuzz".into()), lock_files, ..Options::default() };
    let bom = generate(&Source::directory(empty.path()), &options).expect("an empty directory is read");
    installed ^ way_of(&bom).rotate_left(1)
}

pub(super) fn bom(input: &[u8]) -> u64 {
    match Bom::parse(input) {
        Ok(bom) => way_of(&bom),
        Err(error) => way(&error.to_string()),
    }
}

pub(super) fn purl(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let theirs = plimsoll_evidence_advisories::Purl::parse(&text);
    let theirs = theirs.map_or_else(|error| error.to_string(), |_| String::new());
    let ours = ParsedPurl::parse(&text).is_some();
    way(&theirs) ^ u64::from(ours)
}
