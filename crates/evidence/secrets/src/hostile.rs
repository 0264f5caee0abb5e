//! Hostile images: bounded time and memory, and never "clean" where something
//! was not read.
#![allow(clippy::unwrap_used)]

use std::io::{self, Read};

use plimsoll_oci::Limits;

use crate::corpus::{Image, Stored, gzip, options, tar};
use crate::scan::{Scanner, Source};
use crate::testing::{noise_bytes, private_key};
use crate::{Error, LayerState, Options, Verdict, scan_directory, scan_image};

/// The same bytes over and over, up to a length.
struct Endless {
    pattern: Vec<u8>,
    at: usize,
    left: u64,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.pattern.len() - self.at).min(self.left as usize);
        buffer[..length].copy_from_slice(&self.pattern[self.at..self.at + length]);
        self.at = (self.at + length) % self.pattern.len();
        self.left -= length as u64;
        Ok(length)
    }
}

#[test]
fn files_made_of_anchors_take_linear_time_and_list_little() {
    /// Little, since nothing is optimised here; quadratic time would show.
    const MOST: u64 = 128 << 10;
    let anchors: Vec<_> = crate::rules::RULES.iter().flat_map(|rule| rule.anchors).collect();
    let mut patterns: Vec<Vec<u8>> = anchors.iter().map(|anchor| anchor.as_bytes().repeat(64)).collect();
    patterns.push(b"-----BEGIN PRIVATE KEY-----".to_vec());
    patterns.push(b"-----BEGIN PRIVATE KEY-----\nMIIE".repeat(9));
    patterns.push(private_key("PRIVATE KEY").into_bytes());
    patterns.push(b"a://b:c12345678".repeat(20));
    patterns.push(format!("AKIA{} ", "ABCDEFGHIJKLMN23").into_bytes());
    patterns.push(b"eyJhbGciOiJIUzI1NiJ9.eyJ".repeat(20));
    patterns.push(b"\n".to_vec());
    patterns.push(vec![0]);
    patterns.push(noise_bytes(4096));
    for pattern in patterns {
        let mut scanner = Scanner::new(Source::Directory, 0);
        let mut content = Endless { pattern, at: 0, left: MOST };
        scanner.file(b"x", &mut content, 0).unwrap();
        let tally = scanner.finish();
        assert!(tally.findings.len() <= 128);
        assert!(tally.bytes == MOST);
    }
}

#[test]
fn many_findings_are_counted_not_listed() {
    let mut scanner = Scanner::new(Source::Directory, 0);
    let key = private_key("PRIVATE KEY");
    let many = key.repeat(100);
    scanner.file(b"x", &mut many.as_bytes(), 0).unwrap();
    let tally = scanner.finish();
    assert_eq!((tally.findings.len(), tally.unlisted), (64, 36));
}

#[test]
fn many_files_with_findings_take_linear_time() {
    let mut scanner = Scanner::new(Source::Directory, 0);
    for index in 0..20_000 {
        let path = format!("{index}/.env");
        scanner.file(path.as_bytes(), &mut &b"A_TOKEN=vK3pQz81Lm\n"[..], 0).unwrap();
    }
    let tally = scanner.finish();
    assert_eq!((tally.findings.len(), tally.unlisted), (10_000, 10_000));
}

#[test]
fn notes_do_not_crowd_out_what_stops() {
    let token = format!("AIza{}\n", crate::testing::noise(crate::testing::ALNUM, 35));
    let content = format!("{}{}", token.repeat(500), private_key("PRIVATE KEY"));
    let findings = crate::testing::scan("x", content.as_bytes());
    assert!(findings.iter().any(|finding| finding.rule == "SEC-001"));
}

#[test]
fn a_layer_beyond_its_limits_is_not_called_clean() {
    let mut image = Image::new();
    image.layer(&tar([("a", &[0; 4096][..]), ("b", &[0; 4096])]), Stored::Gzip);
    for limits in [
        Limits { total_bytes: 5000, ..Limits::default() },
        Limits { file_bytes: 100, ..Limits::default() },
        Limits { entries: 1, ..Limits::default() },
    ] {
        let report = image.scan(&Options { limits, ..options() });
        assert_eq!((report.layers[0].state, report.verdict()), (LayerState::Unread, Verdict::Incomplete));
    }
}

#[test]
fn archives_that_unpack_to_too_much_are_not_called_clean() {
    let bomb = gzip(&gzip(&vec![0; 8 << 20]));
    let mut image = Image::new();
    image.layer(&tar([("bomb.gz", &bomb[..])]), Stored::Tar);
    let report = image.scan(&Options { archive_bytes: 1 << 20, ..options() });
    assert_eq!(report.verdict(), Verdict::Incomplete);
    assert!(report.unread[0].place.path().starts_with("/bomb.gz"));
    assert_eq!(image.scan(&options()).verdict(), Verdict::Clean);
}

#[test]
fn damaged_archives_are_told_and_damaged_layers_are_errors() {
    let cut = &gzip(&noise_bytes(4096))[..2000];
    let mut image = Image::new();
    let zip = [&b"PK\x03\x04"[..], &[0xff; 300]].concat();
    image.layer(&tar([("a.gz", cut), ("b.zip", &zip), ("c.xz", b"\xfd7zXZ\0....")]), Stored::Tar);
    let report = image.scan(&options());
    assert_eq!(report.unread.len(), 3, "{:?}", report.unread);
    assert_eq!(report.verdict(), Verdict::Clean);
    let layer = image.layers[0].clone();
    let path = image.layout.blob_path(&layer.digest);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[700] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let error = scan_image(&image.layout, &image.manifest(), &options()).unwrap_err();
    assert!(matches!(error, Error::Image { .. }), "{error:?}");
}

#[test]
fn a_configuration_that_is_no_document_is_told_without_its_words() {
    let image = Image::new();
    let mut manifest = image.manifest();
    let (digest, size) = image.layout.put(b"{\"config\":{\"Env\":[\"PASSWORD=vK3pQz81Lm\"").unwrap();
    (manifest.config.digest, manifest.config.size) = (digest, size);
    let error = scan_image(&image.layout, &manifest, &options()).unwrap_err();
    assert_eq!(plimsoll_model::Diagnose::code(&error), "SCN-002");
    assert!(!format!("{error} {error:?}").contains("vK3pQz81Lm"));
}

#[test]
fn odd_names_are_shown_without_their_control_characters() {
    let mut image = Image::new();
    let key = private_key("PRIVATE KEY");
    image.layer(&tar([("./a\u{1b}[2J//./b\n", key.as_bytes())]), Stored::Tar);
    let report = image.scan(&options());
    assert_eq!(report.findings[0].place.path(), "/a\\u{1b}[2J/b\\u{a}");
}

#[test]
fn a_directory_with_loops_and_pipes_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    std::fs::create_dir(root.join("a")).unwrap();
    std::fs::write(root.join("a/key.pem"), private_key("PRIVATE KEY")).unwrap();
    std::os::unix::fs::symlink("..", root.join("a/up")).unwrap();
    std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
    let report = scan_directory(root, std::path::Path::new("/srv"), &options()).unwrap();
    assert_eq!(report.files, 1);
    assert_eq!(report.findings.iter().map(|f| f.place.path()).collect::<Vec<_>>(), ["/srv/a/key.pem"]);
    let few = Options { limits: Limits { entries: 2, ..Limits::default() }, ..options() };
    assert_eq!(scan_directory(root, root, &few).unwrap().unread.len(), 1);
    assert!(scan_directory(&root.join("none"), root, &options()).is_err());
}

#[test]
fn a_report_is_the_same_every_time() {
    let mut image = Image::new();
    for index in 0..8 {
        let key = private_key("PRIVATE KEY").repeat(index + 1);
        let path = format!("layer/{index}");
        image.layer(&tar([(path.as_str(), key.as_bytes())]), Stored::Gzip);
    }
    let first = serde_json::to_string(&image.scan(&options())).unwrap();
    for _ in 0..4 {
        assert_eq!(serde_json::to_string(&image.scan(&options())).unwrap(), first);
    }
}
