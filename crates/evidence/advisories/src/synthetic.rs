//! Databases of invented advisories, shaped like the published ones, for tests
//! and benchmarks. The same numbers give the same bytes.

#![allow(clippy::cast_possible_truncation, missing_docs, reason = "a generator for tests, not shipped")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

/// Numbers that look random and are not.
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    pub fn from_seed(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Ecosystem, its folder, its share in percent, the beginning of its package URLs and their end.
const ECOSYSTEMS: [(&str, &str, u64, &str, &str); 11] = [
    ("npm", "npm", 40, "pkg:npm/", ""),
    ("PyPI", "PyPI", 12, "pkg:pypi/", ""),
    ("Maven", "Maven", 10, "pkg:maven/org.invented/", ""),
    ("Go", "Go", 6, "pkg:golang/invented.example/", ""),
    ("crates.io", "crates.io", 3, "pkg:cargo/", ""),
    ("RubyGems", "RubyGems", 3, "pkg:gem/", ""),
    ("Packagist", "Packagist", 5, "pkg:composer/invented/", ""),
    ("NuGet", "NuGet", 3, "pkg:nuget/", ""),
    ("Debian:12", "Debian", 8, "pkg:deb/debian/", "?distro=debian-12"),
    ("Alpine:v3.19", "Alpine", 4, "pkg:apk/alpine/", "?distro=alpine-3.19.1"),
    ("AlmaLinux:9", "AlmaLinux", 6, "pkg:rpm/almalinux/", "?distro=almalinux-9.3"),
];

/// Packages of one ecosystem that have advisories.
const PACKAGES: u64 = 8000;

fn ecosystem(number: u64) -> usize {
    let mut left = number % 100;
    for (at, (_, _, share, _, _)) in ECOSYSTEMS.iter().enumerate() {
        if left < *share {
            return at;
        }
        left -= share;
    }
    0
}

fn version(ecosystem: usize, major: u64, minor: u64, patch: u64) -> String {
    match ECOSYSTEMS[ecosystem].0 {
        "Go" => format!("v{major}.{minor}.{patch}"),
        "Debian:12" => format!("{major}.{minor}.{patch}-1+deb12u{}", patch % 4 + 1),
        "Alpine:v3.19" => format!("{major}.{minor}.{patch}-r{}", patch % 3),
        "AlmaLinux:9" => format!("{major}.{minor}.{patch}-1.el9"),
        _ => format!("{major}.{minor}.{patch}"),
    }
}

fn package(ecosystem: usize, number: u64) -> String {
    match ECOSYSTEMS[ecosystem].0 {
        "Maven" => format!("org.invented:package-{number}"),
        "Go" => format!("invented.example/package-{number}"),
        "Packagist" => format!("invented/package-{number}"),
        _ => format!("package-{number}"),
    }
}

/// One advisory: the folder of its ecosystem, its id, its JSON.
pub fn osv(number: u64) -> (&'static str, String, String) {
    let mut numbers = Numbers::from_seed(number + 1);
    let at = ecosystem(number);
    let (name, folder, ..) = ECOSYSTEMS[at];
    // Few packages have many advisories, many have few.
    let spread = numbers.below(PACKAGES) + 1;
    let package = package(at, numbers.below(spread));
    let (major, minor) = (numbers.below(6), numbers.below(20));
    let fixed = version(at, major, minor + 1, numbers.below(10));
    let id = format!("SYN-{}-{number:06}", 2015 + number % 12);
    let score = ["C:H/I:H/A:H", "C:N/I:N/A:H", "C:L/I:L/A:N", "C:L/I:N/A:N"][numbers.below(4) as usize];
    let mut details = String::new();
    for _ in 0..20 + numbers.below(40) {
        let word = [
            "buffer", "overflow", "parser", "remote", "attacker", "crafted", "denial", "header", "request",
            "leads",
        ];
        let _ = write!(details, "{} ", word[numbers.below(10) as usize]);
    }
    let mut versions = String::new();
    if matches!(name, "PyPI" | "RubyGems" | "Packagist") {
        for patch in 0..40 {
            let comma = if patch == 0 { "" } else { "," };
            let _ = write!(versions, "{comma}\"{}\"", version(at, major, minor, patch));
        }
    }
    let range = if matches!(name, "npm" | "Go" | "crates.io") { "SEMVER" } else { "ECOSYSTEM" };
    let introduced = version(at, major, 0, 0);
    let introduced = if numbers.below(2) == 0 { "0" } else { introduced.trim_start_matches('v') };
    let json = format!(
        r#"{{"schema_version":"1.7.0","id":"{id}","modified":"20{:02}-{:02}-{:02}T10:00:00Z","published":"2020-01-01T00:00:00Z",
"aliases":["CVE-2099-{number}"],"summary":"Invented flaw in {package}","details":"{details}",
"severity":[{{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/{score}"}}],
"affected":[{{"package":{{"ecosystem":"{name}","name":"{package}","purl":"pkg:generic/{package}"}},
"ranges":[{{"type":"{range}","events":[{{"introduced":"{introduced}"}},{{"fixed":"{}"}}]}}],
"versions":[{versions}],"database_specific":{{"source":"https://advisories.example/{folder}/{id}.json"}}}}],
"references":[{{"type":"WEB","url":"https://advisories.example/{id}"}},{{"type":"PACKAGE","url":"https://code.example/{package}"}}],
"database_specific":{{"cwe_ids":["CWE-119"],"github_reviewed":true,"severity":"HIGH"}}}}"#,
        15 + number % 11,
        1 + number % 12,
        1 + number % 28,
        fixed.trim_start_matches('v'),
    );
    (folder, id, json)
}

/// One advisory in RustSec's form: its path and its text.
pub fn rustsec(number: u64) -> (String, String) {
    let mut numbers = Numbers::from_seed(number + 77);
    let package = package(4, numbers.below(PACKAGES));
    let (major, minor) = (numbers.below(4), numbers.below(9) + 1);
    let id = format!("RUSTSEC-{}-{:04}", 2016 + number % 11, number / 11);
    let text = format!(
        "```toml\n[advisory]\nid = \"{id}\"\npackage = \"{package}\"\ndate = \"2024-01-{:02}\"\naliases = [\"CVE-2098-{number}\"]\n\
         cvss = \"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H\"\n\n[versions]\npatched = [\">= {major}.{minor}.0\"]\n\
         unaffected = [\"< {major}.0.0\"]\n```\n\n# Invented flaw in {package}\n\nText.\n",
        1 + number % 28
    );
    (format!("crates/{package}/{id}.md"), text)
}

/// Package URLs as an SBOM of an image would have them.
pub fn components(count: u64) -> Vec<String> {
    let component = |number: u64| {
        let mut numbers = Numbers::from_seed(number + 123_456);
        let at = ecosystem(numbers.below(100));
        let (_, _, _, start, end) = ECOSYSTEMS[at];
        // Most packages of an image have no advisory at all.
        let name = numbers.below(4 * PACKAGES);
        let version = version(at, numbers.below(8), numbers.below(24), numbers.below(10));
        format!("{start}package-{name}@{}{end}", version.replace('+', "%2B"))
    };
    (0..count).map(component).collect()
}

/// Writes `count` advisories as osv-scanner keeps them:
/// `{dir}/osv-scanner/{ecosystem}/all.zip`.
pub fn write_archives(dir: &Path, count: u64) -> io::Result<()> {
    let mut archives = BTreeMap::new();
    for number in 0..count {
        let (folder, id, json) = osv(number);
        let archive = match archives.entry(folder) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => {
                let folder = dir.join("osv-scanner").join(folder);
                fs::create_dir_all(&folder)?;
                new.insert(ZipWriter::new(BufWriter::new(File::create(folder.join("all.zip"))?)))
            }
        };
        archive.add(&format!("{id}.json"), json.as_bytes())?;
    }
    archives.into_values().try_for_each(|archive| archive.finish()?.flush())
}

/// Writes `count` advisories as single files.
pub fn write_files(dir: &Path, count: u64) -> io::Result<()> {
    for number in 0..count {
        let (folder, id, json) = osv(number);
        let folder = dir.join(folder);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("{id}.json")), json)?;
    }
    Ok(())
}

/// Writes `count` advisories as RustSec keeps them.
pub fn write_rustsec(dir: &Path, count: u64) -> io::Result<()> {
    for number in 0..count {
        let (path, text) = rustsec(number);
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap_or(dir))?;
        fs::write(path, text)?;
    }
    Ok(())
}

/// Writes zip archives, with Zip64 records where they are needed.
#[derive(Debug)]
pub struct ZipWriter<W: Write> {
    output: W,
    offset: u64,
    directory: Vec<u8>,
    entries: u64,
}

impl<W: Write> ZipWriter<W> {
    pub fn new(output: W) -> Self {
        Self { output, offset: 0, directory: Vec::new(), entries: 0 }
    }

    pub fn add(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes)?;
        let mut crc = Crc::new();
        crc.update(bytes);
        self.add_raw(name, 8, &encoder.finish()?, crc.sum(), bytes.len() as u32)
    }

    /// An entry that says of itself what the caller wants.
    pub fn add_raw(&mut self, name: &str, method: u16, data: &[u8], crc: u32, size: u32) -> io::Result<()> {
        let mut fields = Vec::new();
        fields.extend_from_slice(&20_u16.to_le_bytes());
        fields.extend_from_slice(&0_u16.to_le_bytes());
        fields.extend_from_slice(&method.to_le_bytes());
        fields.extend_from_slice(&[0; 4]);
        fields.extend_from_slice(&crc.to_le_bytes());
        fields.extend_from_slice(&(data.len() as u32).to_le_bytes());
        fields.extend_from_slice(&size.to_le_bytes());
        fields.extend_from_slice(&(name.len() as u16).to_le_bytes());
        let mut header = 0x0403_4b50_u32.to_le_bytes().to_vec();
        header.extend_from_slice(&fields);
        header.extend_from_slice(&0_u16.to_le_bytes());
        header.extend_from_slice(name.as_bytes());
        self.directory.extend_from_slice(&0x0201_4b50_u32.to_le_bytes());
        self.directory.extend_from_slice(&20_u16.to_le_bytes());
        self.directory.extend_from_slice(&fields);
        let large = self.offset >= u64::from(u32::MAX);
        let extra: u16 = if large { 12 } else { 0 };
        self.directory.extend_from_slice(&extra.to_le_bytes());
        self.directory.extend_from_slice(&[0; 10]);
        let offset = if large { u32::MAX } else { self.offset as u32 };
        self.directory.extend_from_slice(&offset.to_le_bytes());
        self.directory.extend_from_slice(name.as_bytes());
        if large {
            self.directory.extend_from_slice(&1_u16.to_le_bytes());
            self.directory.extend_from_slice(&8_u16.to_le_bytes());
            self.directory.extend_from_slice(&self.offset.to_le_bytes());
        }
        self.output.write_all(&header)?;
        self.output.write_all(data)?;
        self.offset += (header.len() + data.len()) as u64;
        self.entries += 1;
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<W> {
        let size = self.directory.len() as u64;
        self.output.write_all(&self.directory)?;
        let zip64 = self.entries >= 0xffff || self.offset >= u64::from(u32::MAX);
        if zip64 {
            let mut end = 0x0606_4b50_u32.to_le_bytes().to_vec();
            end.extend_from_slice(&44_u64.to_le_bytes());
            end.extend_from_slice(&[45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            for value in [self.entries, self.entries, size, self.offset] {
                end.extend_from_slice(&value.to_le_bytes());
            }
            end.extend_from_slice(&0x0706_4b50_u32.to_le_bytes());
            end.extend_from_slice(&0_u32.to_le_bytes());
            end.extend_from_slice(&(self.offset + size).to_le_bytes());
            end.extend_from_slice(&1_u32.to_le_bytes());
            self.output.write_all(&end)?;
        }
        let count = self.entries.min(0xffff) as u16;
        let mut end = 0x0605_4b50_u32.to_le_bytes().to_vec();
        end.extend_from_slice(&[0; 4]);
        end.extend_from_slice(&count.to_le_bytes());
        end.extend_from_slice(&count.to_le_bytes());
        end.extend_from_slice(&(size.min(u64::from(u32::MAX)) as u32).to_le_bytes());
        end.extend_from_slice(&(self.offset.min(u64::from(u32::MAX)) as u32).to_le_bytes());
        end.extend_from_slice(&0_u16.to_le_bytes());
        self.output.write_all(&end)?;
        Ok(self.output)
    }
}
