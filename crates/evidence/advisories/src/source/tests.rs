//! Hostile and broken files: bounded work, a warning or an error, never silence.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use plimsoll_model::Diagnose as _;

use super::Limits;
use crate::scan::tests::{advisory, fixed};
use crate::synthetic::ZipWriter;
use crate::{Database, Report};

/// A folder with one good advisory, and whatever else is written into it.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let good = advisory("A-1", &[], "npm", "a", &fixed("1.0.0"));
    for (name, bytes) in files.iter().copied().chain([("good.json", good.as_bytes())]) {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(dir.path())).expect("a temporary folder is writable");
        fs::write(path, bytes).expect("a temporary folder is writable");
    }
    dir
}

fn scanned(dir: &tempfile::TempDir, limits: Limits) -> Result<Report, &'static str> {
    let sources = [PathBuf::from(dir.path())];
    Database::in_memory(&sources, limits)
        .and_then(|mut database| database.scan(["pkg:npm/a@0.1.0"]))
        .map_err(|why| why.code())
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Vec::new());
    for (name, bytes) in entries {
        writer.add(name, bytes).expect("writing to memory");
    }
    writer.finish().expect("writing to memory")
}

#[test]
fn a_broken_advisory_is_a_warning_with_its_file() {
    let archive = zip(&[("B-1.json", b"{"), ("sub/B-2.json", br#"{"id":""}"#), ("README", b"not looked at")]);
    let dir = folder(&[
        ("broken.json", b"{\"id\":"),
        ("deep/er/other.json", b"[]"),
        ("crates/x/RUSTSEC-2099-0001.md", b"```toml\n[advisory]\nid = 1\n```\n"),
        ("crates/x/README.md", b"# Not an advisory\n"),
        ("bytes.toml", b"\xff\xfe"),
        ("npm/all.zip", &archive),
        (".git/objects/x.json", b"{"),
    ]);
    let report = scanned(&dir, Limits::default()).unwrap_or_else(|code| panic!("{code}"));
    assert_eq!(report.findings.len(), 1);
    let files: Vec<_> = report.database.warnings.iter().map(|warning| warning.file.as_str()).collect();
    let expected = [
        "broken.json",
        "bytes.toml",
        "crates/x/RUSTSEC-2099-0001.md",
        "npm/all.zip > B-1.json",
        "npm/all.zip > sub/B-2.json",
    ];
    let mut sorted = files.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    assert_eq!(report.database.unreadable, 5);
}

#[test]
fn only_the_first_hundred_warnings_are_kept_and_all_are_counted() {
    let names: Vec<String> = (0..1500).map(|number| format!("{number:04}.json")).collect();
    let broken: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"{"[..])).collect();
    let report = scanned(&folder(&broken), Limits::default()).unwrap_or_else(|code| panic!("{code}"));
    let files: Vec<_> = report.database.warnings.iter().map(|warning| warning.file.clone()).collect();
    assert_eq!((files, report.database.unreadable), (names[..100].to_vec(), 1500));
}

#[test]
fn large_and_deeply_nested_files_cost_a_warning() {
    let small = Limits { advisory_bytes: 100_000, ..Limits::default() };
    let large = format!(r#"{{"id":"B-1","details":"{}"}}"#, "x".repeat(200_000));
    let nested = format!(r#"{{"id":"B-2","database_specific":{{"severity":{}"#, "[".repeat(90_000));
    let archive = zip(&[("large.json", large.as_bytes()), ("nested.json", nested.as_bytes())]);
    let dir = folder(&[
        ("large.json", large.as_bytes()),
        ("nested.json", nested.as_bytes()),
        ("all.zip", &archive),
    ]);
    let report = scanned(&dir, small).unwrap_or_else(|code| panic!("{code}"));
    assert_eq!((report.findings.len(), report.database.unreadable), (1, 4));
}

/// A stretch of zeros, deflated: a thousand times smaller than what it becomes.
fn zeros(len: usize) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![b' '; len]).and_then(|()| encoder.finish()).expect("writing to memory")
}

#[test]
fn bombs_are_cut_off() {
    let bomb = zeros(50_000_000);
    let crc = |bytes: &[u8]| {
        let mut crc = Crc::new();
        crc.update(bytes);
        crc.sum()
    };
    let small = Limits { advisory_bytes: 1_000_000, archive_bytes: 10_000_000, ..Limits::default() };
    let archive = |size: u32, copies: usize| {
        let mut writer = ZipWriter::new(Vec::new());
        for copy in 0..copies {
            writer.add_raw(&format!("{copy}.json"), 8, &bomb, crc(b""), size).expect("writing to memory");
        }
        writer.finish().expect("writing to memory")
    };
    // It says that it is small, is honest, or is many.
    let report =
        scanned(&folder(&[("all.zip", &archive(1000, 1))]), small).unwrap_or_else(|code| panic!("{code}"));
    assert_eq!(report.database.warnings[0].why, "it expands to more than it says");
    let report = scanned(&folder(&[("all.zip", &archive(9_000_000, 1))]), small)
        .unwrap_or_else(|code| panic!("{code}"));
    assert_eq!(report.database.warnings[0].why, "it is larger than 1000000 bytes");
    assert_eq!(scanned(&folder(&[("all.zip", &archive(900_000, 20))]), small), Err("ADV-005"));
}

#[test]
fn archives_that_lie_are_refused_as_a_whole() {
    let good = zip(&[("a.json", b"{\"id\":\"B-1\"}"), ("b.json", b"{\"id\":\"B-2\"}")]);
    assert!(scanned(&folder(&[("all.zip", &good)]), Limits::default()).is_ok());
    for len in 0..good.len() {
        // Without its end nothing says where anything is.
        assert_eq!(
            scanned(&folder(&[("all.zip", &good[..len])]), Limits::default()),
            Err("ADV-004"),
            "{len}"
        );
    }
    // Every byte changed once: an error, a warning, or a byte that says nothing.
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x41;
        if let Ok(report) = scanned(&folder(&[("all.zip", &bytes)]), Limits::default()) {
            assert_eq!(report.findings.len(), 1, "byte {at}");
        }
    }
    // One that is whole, and not what the directory says that it is.
    let mut writer = ZipWriter::new(Vec::new());
    writer.add_raw("a.json", 0, b"{\"id\":\"B-1\"}", 7, 12).expect("writing to memory");
    let other = writer.finish().expect("writing to memory");
    let report = scanned(&folder(&[("all.zip", &other)]), Limits::default());
    let report = report.unwrap_or_else(|code| panic!("{code}"));
    assert_eq!(report.database.warnings[0].why, "its size or checksum is not what the directory says");
    // Two entries that are the same bytes.
    let mut overlapping = good.clone();
    let directory =
        good.windows(4).position(|bytes| bytes == 0x0201_4b50_u32.to_le_bytes()).unwrap_or_default();
    overlapping[directory + 20..directory + 24].copy_from_slice(&60_000_u32.to_le_bytes());
    assert_eq!(scanned(&folder(&[("all.zip", &overlapping)]), Limits::default()), Err("ADV-004"));
    let few = Limits { files: 2, ..Limits::default() };
    assert_eq!(
        scanned(&folder(&[("all.zip", &zip(&[("1", b""), ("2", b""), ("3", b"")]))]), few),
        Err("ADV-004")
    );
}

#[test]
fn a_hundred_thousand_entries_need_zip64_and_are_read() {
    let mut writer = ZipWriter::new(Vec::new());
    for number in 0..70_000 {
        let json = format!("{{\"id\":\"B-{number}\"}}");
        let mut crc = Crc::new();
        crc.update(json.as_bytes());
        let added =
            writer.add_raw(&format!("{number}.json"), 0, json.as_bytes(), crc.sum(), json.len() as u32);
        added.expect("writing to memory");
    }
    let archive = writer.finish().expect("writing to memory");
    let report =
        scanned(&folder(&[("all.zip", &archive)]), Limits::default()).unwrap_or_else(|code| panic!("{code}"));
    assert_eq!((report.database.advisories, report.database.unreadable), (70_001, 0));
}

#[test]
fn directories_are_bounded_and_links_do_not_lead_in_circles() {
    let dir = folder(&[("a/b/c/d.json", b"{\"id\":\"B-1\"}")]);
    std::os::unix::fs::symlink(dir.path(), dir.path().join("a/b/loop")).expect("links can be made");
    std::os::unix::fs::symlink("d.json", dir.path().join("a/b/c/link.json")).expect("links can be made");
    let report = scanned(&dir, Limits::default()).unwrap_or_else(|code| panic!("{code}"));
    assert_eq!(report.database.advisories, 2);
    assert_eq!(scanned(&dir, Limits { depth: 3, ..Limits::default() }), Err("ADV-005"));
    assert_eq!(scanned(&dir, Limits { files: 2, ..Limits::default() }), Err("ADV-005"));
}
