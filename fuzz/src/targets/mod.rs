//! What is fuzzed: one module for each crate.

mod advisories;
mod release;
mod sbom;
mod secrets;
mod trust;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use tempfile::TempDir;

/// A function of bytes that none may break.
#[derive(Debug)]
pub struct Target {
    /// Its name, and that of its folder of seeds.
    pub name: &'static str,
    /// Runs it; the answer tells the ways apart that it can go.
    pub run: fn(&[u8]) -> u64,
    /// Its seeds.
    pub seeds: fn(&str) -> Vec<Vec<u8>>,
}

const fn target(name: &'static str, run: fn(&[u8]) -> u64) -> Target {
    Target { name, run, seeds: files }
}

/// Every target.
pub static TARGETS: &[Target] = &[
    Target { name: "bundle", run: trust::bundle, seeds: trust::bundles },
    Target { name: "statement", run: trust::statement, seeds: trust::statements },
    Target { name: "legacy", run: trust::legacy, seeds: trust::legacies },
    target("cosign-key", trust::cosign_key),
    target("pem", trust::pem),
    target("dpkg", sbom::dpkg),
    target("apk", sbom::apk),
    target("rpm-sqlite", sbom::rpm_sqlite),
    target("rpm-ndb", sbom::rpm_ndb),
    target("rpm-bdb", sbom::rpm_bdb),
    target("rpm-header", sbom::rpm_header),
    target("elf", sbom::elf),
    target("auditable", sbom::auditable),
    target("go-build-info", sbom::go_build_info),
    target("jar", sbom::jar),
    target("jar-entry", sbom::jar_entry),
    target("file", sbom::file),
    target("bom", sbom::bom),
    target("purl", sbom::purl),
    target("osv", advisories::osv),
    target("rustsec", advisories::rustsec),
    target("advisory-zip", advisories::zip),
    Target { name: "advisory-index", run: advisories::index, seeds: advisories::indexes },
    target("vex", advisories::vex),
    target("version", advisories::version),
    target("secret", secrets::file),
    target("layer", secrets::layer),
    target("contract", release::contract),
    target("postgres", release::postgres),
    target("sqlite", release::sqlite),
    target("changelog", release::changelog),
    target("version-manifest", release::version_manifest),
    target("exposition", release::exposition),
    target("database-url", release::database_url),
];

/// What is in the target's folder of seeds, by name.
fn files(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let entries = std::fs::read_dir(&folder).expect("each target has a folder of seeds");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("the folder is readable").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a seed is readable")).collect()
}

/// A temporary folder: in memory where there is one, for the sake of speed.
fn folder() -> TempDir {
    let made = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
    made.expect("a temporary folder can be made")
}

/// One way for each text, numbers and what is quoted aside: messages name what
/// they found.
fn way(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut quoted = false;
    for character in text.chars().take(4096) {
        if matches!(character, '`' | '"' | '\'') {
            quoted = !quoted;
        } else if !quoted && !character.is_ascii_hexdigit() {
            character.hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// The first line, and what follows.
fn named(input: &[u8]) -> (&[u8], &[u8]) {
    match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (b"", input),
    }
}
