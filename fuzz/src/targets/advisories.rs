//! Advisories in every form, the index, VEX, versions.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use plimsoll_evidence_advisories::version::Scheme;
use plimsoll_evidence_advisories::vex::VexDocument;
use plimsoll_evidence_advisories::{Database, Limits};
use tempfile::TempDir;

use super::{files, folder, way};

/// What is asked of every database.
const PURLS: [&str; 6] = [
    "pkg:npm/left-pad@1.0.0",
    "pkg:deb/debian/curl@7.88.1-10?distro=debian-12",
    "pkg:cargo/smallvec@1.6.0",
    "pkg:pypi/a-b@1.0",
    "pkg:golang/golang.org/x/sys@v0.1.0",
    "pkg:maven/org.acme/a@1.0",
];

fn sources(name: &str, input: &[u8]) -> (TempDir, Vec<PathBuf>) {
    let folder = super::folder();
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("the folder is writable");
    std::fs::write(path, input).expect("the folder is writable");
    let sources = vec![folder.path().to_owned()];
    (folder, sources)
}

fn scanned(database: &mut Database) -> u64 {
    match database.scan(PURLS) {
        Ok(report) => {
            let warnings = report.database.warnings.iter().map(|warning| warning.why.as_str());
            let warnings: Vec<&str> = warnings.collect();
            way(&format!("{} {}", "x".repeat(report.findings.len().min(20)), warnings.join(" ")))
        }
        Err(error) => way(&error.to_string()),
    }
}

/// Beside one that is sound: a broken one is then a warning that says why, and
/// not the end of it.
fn read(name: &str, input: &[u8]) -> u64 {
    let (_folder, mut sources) = sources(name, input);
    sources.extend(seed_folder().0);
    match Database::in_memory(&sources, Limits::default()) {
        Ok(mut database) => scanned(&mut database),
        Err(error) => way(&error.to_string()),
    }
}

pub(super) fn osv(input: &[u8]) -> u64 {
    read("GHSA-xxxx.json", input)
}

pub(super) fn rustsec(input: &[u8]) -> u64 {
    read("crates/smallvec/RUSTSEC-2021-0003.md", input)
}

pub(super) fn zip(input: &[u8]) -> u64 {
    read("osv-scanner/npm/all.zip", input)
}

/// The index of one advisory, damaged after it was written; what it says of
/// its sources may be true or not.
pub(super) fn index(input: &[u8]) -> u64 {
    let folder = seed_folder();
    let place = folder.1.path().join("index");
    std::fs::write(&place, input).expect("the folder is writable");
    match Database::open(&folder.0, &place, Limits::default()) {
        Ok(mut database) => {
            scanned(&mut database) ^ u64::from(format!("{:?}", database.origin()).len() as u32)
        }
        Err(error) => way(&error.to_string()),
    }
}

thread_local! {
    static SEEDS: TempDir = folder();
}

/// A seed of `osv` as source, and a folder for the index.
fn seed_folder() -> (Vec<PathBuf>, TempDir) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/osv/two");
    let copy = SEEDS.with(|folder| {
        let copy = folder.path().join("GHSA-xxxx.json");
        if !copy.exists() {
            std::fs::copy(source, &copy).expect("the seed is readable");
        }
        folder.path().to_owned()
    });
    (vec![copy], folder())
}

/// Written now: the index knows when its sources were last changed.
pub(super) fn indexes(_: &str) -> Vec<Vec<u8>> {
    let (sources, folder) = seed_folder();
    let place = folder.path().join("index");
    Database::open(&sources, &place, Limits::default()).expect("the seed is an advisory");
    vec![std::fs::read(place).expect("the index was written")]
}

pub(super) fn vex(input: &[u8]) -> u64 {
    let document = VexDocument::parse(Path::new("vex.json"), input);
    let Ok(document) = document else {
        return way(&document.err().map(|e| e.to_string()).unwrap_or_default());
    };
    let osv = files("osv").swap_remove(0);
    let (_folder, sources) = sources("GHSA-xxxx.json", &osv);
    let mut database = Database::in_memory(&sources, Limits::default()).expect("the seed is an advisory");
    let mut report = database.scan(PURLS).expect("an index in memory is not damaged");
    report.apply_vex(&[document], &["pkg:oci/app@sha256:0".into()]);
    way(&"x".repeat(report.findings.len()))
}

/// Lines of versions, each with each: an order is one, whatever is compared.
pub(super) fn version(input: &[u8]) -> u64 {
    const SCHEMES: [Scheme; 11] = [
        Scheme::SemVer,
        Scheme::Go,
        Scheme::NuGet,
        Scheme::Pub,
        Scheme::Pep440,
        Scheme::Dpkg,
        Scheme::Rpm,
        Scheme::Apk,
        Scheme::Maven,
        Scheme::RubyGems,
        Scheme::Packagist,
    ];
    let text = String::from_utf8_lossy(input);
    let lines: Vec<&str> = text.lines().take(5).collect();
    let mut parsed = String::new();
    for scheme in SCHEMES {
        let versions: Vec<_> = lines.iter().filter_map(|line| Some((line, scheme.parse(line)?))).collect();
        parsed.push_str(&"x".repeat(versions.len()));
        parsed.push('|');
        for (a, left) in &versions {
            assert_eq!(left.compare(left), Ordering::Equal, "{scheme:?} {a}");
            for (b, middle) in &versions {
                let order = left.compare(middle);
                assert_eq!(order, middle.compare(left).reverse(), "{scheme:?} {a} {b}");
                for (c, right) in &versions {
                    let next = middle.compare(right);
                    if order == next || order == Ordering::Equal {
                        assert_eq!(left.compare(right), next, "{scheme:?} {a} {b} {c}");
                    }
                }
                let _ = left.compare_to_bound(middle);
            }
        }
    }
    way(&parsed)
}
