//! What one archive is, and what is in the archives within it.

use std::collections::BTreeSet;
use std::io::{Cursor, Read, Seek, SeekFrom, Write};

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

use super::manifest::{main_section, properties};
use super::pom::{self, Pom};
use super::zip::{self, Entry, Part, Source};
use super::{Fact, Package};
use crate::catalog::Unread;
use crate::language::licence;
use crate::language::reading::{excerpt, impossible};
use crate::{Component, Hash};

/// The most bytes that are read in all archives within one file, hashing
/// included.
const MOST_INNER: u64 = 1 << 30;

/// The most archives within one file.
const MOST_ARCHIVES: usize = 5_000;

/// An inner archive is unpacked into memory up to this size, else into a
/// temporary file.
const IN_MEMORY: u64 = 16 << 20;

/// The most bytes of a `pom.xml`; of manifests and properties only the start
/// is read.
const MOST_POM: usize = 1 << 20;
const MOST_START: usize = 64 << 10;

/// The most files of `META-INF/maven` that are read of one archive.
const MOST_POMS: usize = 1_000;

/// The most bytes of all manifests, properties and `pom.xml` within one file.
const MOST_TEXTS: usize = 64 << 20;

/// How deep, how much and how many, and what came of it.
struct Walk {
    fact: Fact,
    bytes: u64,
    texts: usize,
    archives: usize,
}

/// Reads an archive and those within it, so many levels deep.
///
/// # Errors
/// When it is no zip archive, or its directory is damaged.
pub(super) fn read(source: &mut dyn Source, size: u64, name: &str, nesting: u32) -> Result<Fact, Unread> {
    let fact = Fact::default();
    let walk = Walk { fact, bytes: MOST_INNER, texts: MOST_TEXTS, archives: MOST_ARCHIVES };
    walk.read(source, size, name, nesting)
}

/// What an archive says of itself.
#[derive(Default)]
struct Said {
    /// From `pom.properties`, in the order of the directory.
    properties: Vec<(String, String, String)>,
    poms: Vec<Pom>,
    manifest: std::collections::BTreeMap<String, String>,
}

impl Walk {
    fn read(mut self, source: &mut dyn Source, size: u64, name: &str, nesting: u32) -> Result<Fact, Unread> {
        self.archive(source, size, name, "", nesting)?;
        Ok(self.fact)
    }

    /// Returns the package URLs of what the archive is and brings along.
    fn archive(
        &mut self,
        source: &mut dyn Source,
        size: u64,
        name: &str,
        within: &str,
        nesting: u32,
    ) -> Result<BTreeSet<String>, Unread> {
        let mut poms = 0;
        let entries = zip::entries(source, size, |name| {
            let is_pom = is_pom(name);
            poms += usize::from(is_pom);
            name == "META-INF/MANIFEST.MF" || is_pom && poms <= MOST_POMS || is_archive(name)
        })?;
        if poms > MOST_POMS {
            self.warn(
                within,
                format!("it has more than {MOST_POMS} files in META-INF/maven; the rest was not read"),
            );
        }
        let said = self.said(source, &entries, within);
        let hash = sha1(source)?;
        let mut inner = BTreeSet::new();
        for entry in entries.iter().filter(|entry| is_archive(&entry.name)) {
            let within = format!("{within}!/{}", entry.name);
            if nesting == 0 {
                self.warn(&within, "it is too many archives deep; it was not read".into());
            } else if let Err(why) =
                self.inner(source, entry, &within, nesting - 1).map(|purls| inner.extend(purls))
            {
                self.warn(&within, why.reason().into());
            }
        }
        let (main, rest) = identify(&said, name);
        let mut purls: BTreeSet<String> = rest.iter().map(|package| package.0.base_purl()).collect();
        if let Some((mut component, requires)) = main {
            component.hashes.extend(hash);
            component.depends_on = inner.union(&purls).cloned().collect();
            purls.clear();
            purls.insert(component.base_purl());
            self.push(component, requires, within);
        } else {
            purls.extend(inner);
        }
        for (component, requires) in rest {
            self.push(component, requires, within);
        }
        Ok(purls)
    }

    fn push(&mut self, component: Component, requires: Vec<(String, String)>, within: &str) {
        match impossible(&component) {
            Some(why) => self.warn(within, format!("a package was left out: {why}")),
            None => self.fact.packages.push(Package { component, within: within.into(), requires }),
        }
    }

    fn warn(&mut self, within: &str, why: String) {
        const MOST: usize = 100;
        let place =
            within.strip_prefix("!/").map(|place| format!("{}: ", excerpt(place))).unwrap_or_default();
        if self.fact.warnings.len() < MOST {
            self.fact.warnings.push(format!("{place}{why}"));
        }
    }

    fn said(&mut self, source: &mut dyn Source, entries: &[Entry], within: &str) -> Said {
        let mut said = Said::default();
        for entry in entries.iter().filter(|entry| !is_archive(&entry.name)) {
            let most = if entry.name.ends_with(".xml") { MOST_POM } else { MOST_START };
            let most = most.min(usize::try_from(entry.size).unwrap_or(most));
            let Some(left) = self.texts.checked_sub(most) else {
                self.warn(within, "all descriptions within the file are larger than what is read".into());
                break;
            };
            self.texts = left;
            let text = match zip::start(source, entry, most) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(why) => {
                    self.warn(within, format!("{}: {}", excerpt(&entry.name), why.reason()));
                    continue;
                }
            };
            if entry.name.ends_with(".MF") {
                said.manifest = main_section(&text);
            } else if entry.name.ends_with(".properties") {
                let values = properties(&text);
                let get = |key| values.get(key).copied().unwrap_or_default().to_owned();
                said.properties.push((get("groupId"), get("artifactId"), get("version")));
            } else {
                match pom::parse(&text) {
                    Ok(pom) => said.poms.push(pom),
                    Err(why) => self.warn(within, format!("{}: {}", excerpt(&entry.name), why.reason())),
                }
            }
        }
        said
    }

    /// Opens an archive in an archive: in its place where it is stored as it
    /// is, else in a copy.
    fn inner(
        &mut self,
        source: &mut dyn Source,
        entry: &Entry,
        within: &str,
        nesting: u32,
    ) -> Result<BTreeSet<String>, Unread> {
        const TOO_LARGE: &str = "all archives within the file are larger than what is read";
        self.archives =
            self.archives.checked_sub(1).ok_or("there are more archives within the file than are read")?;
        let name = entry.name.rsplit('/').next().unwrap_or(&entry.name);
        if entry.is_plain() {
            self.bytes = self.bytes.checked_sub(entry.size).ok_or(TOO_LARGE)?;
            let start = zip::data_at(source, entry)?;
            let size = entry.size;
            return self.archive(&mut Part::new(source, start, size), size, name, within, nesting);
        }
        let left = self.bytes;
        let mut copy: Box<dyn Copy> = if entry.size <= IN_MEMORY {
            Box::new(Cursor::new(Vec::new()))
        } else {
            Box::new(
                tempfile::tempfile().map_err(|error| Unread::new(format!("no temporary file: {error}")))?,
            )
        };
        // What the directory says of its size need not be true.
        let most = left.min(entry.size);
        let size = zip::unpack(source, entry, most, &mut copy)
            .map_err(|why| if entry.size > left { TOO_LARGE.into() } else { why });
        self.bytes = left.saturating_sub(most);
        self.archive(&mut copy, size?, name, within, nesting)
    }
}

/// Where an inner archive is unpacked to.
trait Copy: Read + Write + Seek {}

impl<T: Read + Write + Seek> Copy for T {}

fn is_pom(name: &str) -> bool {
    name.starts_with("META-INF/maven/") && (name.ends_with("/pom.properties") || name.ends_with("/pom.xml"))
}

fn is_archive(name: &str) -> bool {
    [".jar", ".war", ".ear", ".hpi", ".jpi", ".sar"].iter().any(|suffix| name.ends_with(suffix))
}

fn sha1(source: &mut dyn Source) -> Result<Option<Hash>, Unread> {
    source.seek(SeekFrom::Start(0))?;
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match source.read(&mut buffer)? {
            0 => break,
            read => context.update(&buffer[..read]),
        }
    }
    let hex: String = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Hash::new("SHA-1", &hex))
}

type Identified = (Component, Vec<(String, String)>);

/// What the archive is, and the packages that were merged into it. An archive
/// into which several were merged, none of which has its name, is none of
/// them.
fn identify(said: &Said, name: &str) -> (Option<Identified>, Vec<Identified>) {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let (base, file_version) = split_version(stem);
    let mut all: Vec<Identified> = Vec::new();
    let mut add = |group: &str, artifact: &str, version: &str| {
        if artifact.is_empty() || artifact.contains("${") || group.contains("${") {
            return;
        }
        let pom =
            said.poms.iter().find(|pom| pom.artifact == artifact && (pom.group == group || group.is_empty()));
        let mut component =
            Component::new("maven", artifact, if version.contains("${") { "" } else { version })
                .within(group);
        component.licence = pom.and_then(|pom| pom.licence.clone());
        if !all
            .iter()
            .any(|(known, _)| known.namespace == component.namespace && known.name == component.name)
        {
            all.push((component, pom.map(|pom| pom.requires.clone()).unwrap_or_default()));
        }
    };
    said.properties.iter().for_each(|(group, artifact, version)| add(group, artifact, version));
    said.poms.iter().for_each(|pom| add(&pom.group, &pom.artifact, &pom.version));
    let own = if all.len() == 1 {
        Some(0)
    } else {
        let is_own = |artifact: &str| artifact == base || artifact == stem;
        all.iter().position(|(component, _)| is_own(&component.name))
    };
    if let Some(own) = own {
        let mut main = all.remove(own);
        if main.0.version.is_empty() {
            main.0.version = version_said(said).or(file_version).unwrap_or_default().into();
        }
        if main.0.licence.is_none() {
            main.0.licence = bundle_licence(said);
        }
        return (Some(main), all);
    }
    (by_manifest(said, base, file_version).map(|component| (component, Vec::new())), all)
}

/// By manifest and name of the file.
fn by_manifest(said: &Said, base: &str, file_version: Option<&str>) -> Option<Component> {
    let get = |key: &str| said.manifest.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
    let version = file_version.or_else(|| version_said(said)).unwrap_or_default();
    let is_name = |text: &&str| !text.contains(char::is_whitespace) && !text.contains("${");
    let symbolic = get("bundle-symbolicname").map(|name| name.split(';').next().unwrap_or(name).trim());
    // A file is named after its artifact if its version is behind the name.
    let artifact = match file_version {
        Some(_) => base,
        None => get("implementation-title").filter(is_name).or(symbolic).unwrap_or(base),
    };
    let group = get("implementation-vendor-id").filter(is_name).unwrap_or_default();
    let mut component = Component::new("maven", artifact, version).within(group);
    component.licence = bundle_licence(said);
    (!artifact.is_empty()).then_some(component)
}

fn version_said(said: &Said) -> Option<&str> {
    ["implementation-version", "bundle-version", "specification-version"]
        .iter()
        .filter_map(|key| said.manifest.get(*key))
        .map(|version| version.trim())
        .find(|version| !version.is_empty() && !version.contains("${"))
}

fn bundle_licence(said: &Said) -> Option<String> {
    let text = said.manifest.get("bundle-license")?;
    // `NAME;link=URL`, or a URL alone, which names nothing for certain.
    let name = text.split(';').next()?.trim().trim_matches('"');
    if name.contains("://") { by_url(name) } else { licence::declared(name) }
}

/// The pages on which two foundations keep their licences.
fn by_url(url: &str) -> Option<String> {
    let place = url
        .split_once("://")?
        .1
        .trim_start_matches("www.")
        .trim_end_matches(".txt")
        .trim_end_matches(".html");
    Some(match place {
        "apache.org/licenses/LICENSE-2.0" => "Apache-2.0".into(),
        "opensource.org/licenses/mit-license.php" | "opensource.org/licenses/MIT" => "MIT".into(),
        "eclipse.org/legal/epl-v10" => "EPL-1.0".into(),
        "eclipse.org/legal/epl-2.0" | "eclipse.org/legal/epl-v20" => "EPL-2.0".into(),
        _ => return licence::declared(url),
    })
}

/// `commons-lang3` and `3.12.0` of `commons-lang3-3.12.0`; `log4j-1.2-api` and
/// `2.17.0` of `log4j-1.2-api-2.17.0`.
fn split_version(stem: &str) -> (&str, Option<&str>) {
    let is_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let is_version = |text: &str| {
        let words = text.split('-').skip_while(|word| is_digit(word) || is_qualifier(word));
        // What follows may be a classifier, unless a version follows that.
        !words.skip(1).any(is_digit)
    };
    let ends = stem.match_indices('-').map(|(at, _)| at).filter(|&at| at > 0);
    let found = ends.take(16).find(|&at| is_digit(&stem[at + 1..]) && is_version(&stem[at + 1..]));
    found.map_or((stem, None), |at| (&stem[..at], Some(&stem[at + 1..])))
}

/// Words that belong to versions.
fn is_qualifier(word: &str) -> bool {
    let word = word.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').to_ascii_lowercase();
    ["alpha", "android", "b", "beta", "cr", "final", "ga", "jre", "m", "pre", "rc", "release", "snapshot"]
        .contains(&&*word)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::zip::tests::{Stored, archive};
    use super::*;
    use crate::language::testing::torture;

    fn read_bytes(bytes: &[u8], name: &str) -> Result<Fact, Unread> {
        read(&mut Cursor::new(bytes), bytes.len() as u64, name, 4)
    }

    fn purls(fact: &Fact) -> Vec<String> {
        fact.packages.iter().map(|package| package.component.purl().to_string()).collect()
    }

    fn of(name: &str, files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_bytes(), Stored::No)).collect();
        let fact = read_bytes(&archive(&files), name).unwrap();
        assert!(fact.warnings.is_empty(), "{:?}", fact.warnings);
        purls(&fact)
    }

    #[test]
    fn the_surest_place_names_an_archive() {
        let properties = "version=2.0\ngroupId=org.acme\nartifactId=lib\n";
        let other = "version=3.0\ngroupId=org.other\nartifactId=other\n";
        let manifest = "Implementation-Title: lib\nImplementation-Version: 1.5\nImplementation-Vendor-Id: org.vendor\nBundle-SymbolicName: org.b.lib;singleton:=true\n";
        let (at, at_other, at_manifest) = (
            "META-INF/maven/org.acme/lib/pom.properties",
            "META-INF/maven/o/other/pom.properties",
            "META-INF/MANIFEST.MF",
        );
        assert_eq!(
            of("renamed.jar", &[(at, properties), (at_manifest, manifest)]),
            ["pkg:maven/org.acme/lib@2.0"]
        );
        assert_eq!(
            of("lib-2.0.jar", &[(at_other, other), (at, properties)]),
            ["pkg:maven/org.acme/lib@2.0", "pkg:maven/org.other/other@3.0"]
        );
        assert_eq!(
            of("uber.jar", &[(at_other, other), (at, properties)]),
            ["pkg:maven/uber", "pkg:maven/org.other/other@3.0", "pkg:maven/org.acme/lib@2.0"]
        );
        assert_eq!(of("lib.jar", &[(at_manifest, manifest)]), ["pkg:maven/org.vendor/lib@1.5"]);
        assert_eq!(of("file-1.6-jre.jar", &[(at_manifest, manifest)]), ["pkg:maven/org.vendor/file@1.6-jre"]);
        assert_eq!(
            of("x.jar", &[(at_manifest, "Bundle-SymbolicName: org.b\nBundle-Version: 4\n")]),
            ["pkg:maven/org.b@4"]
        );
        assert_eq!(of("a-b-1.0.jar", &[]), ["pkg:maven/a-b@1.0"]);
        assert_eq!(of("plain.jar", &[]), ["pkg:maven/plain"]);
        let no_version = "groupId=org.acme\nartifactId=lib\nversion=${revision}\n";
        assert_eq!(of("lib-7.jar", &[(at, no_version)]), ["pkg:maven/org.acme/lib@7"]);
    }

    #[test]
    fn the_checksum_is_that_of_the_file() {
        let bytes = archive(&[("a", b"b", Stored::Yes)]);
        let fact = read_bytes(&bytes, "a-1.jar").unwrap();
        let expected = aws_lc_rs::digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &bytes);
        let hex: String = expected.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(fact.packages[0].component.hashes.first().unwrap().hex, hex);
    }

    #[test]
    fn nesting_is_bounded() {
        let mut bytes = archive(&[("x", b"x", Stored::Yes)]);
        for depth in 0..8 {
            let stored = if depth % 2 == 0 { Stored::Yes } else { Stored::No };
            bytes = archive(&[(&format!("in-{depth}.jar"), &bytes, stored)]);
        }
        let fact = read_bytes(&bytes, "out-9.jar").unwrap();
        assert_eq!(purls(&fact).len(), 5);
        assert_eq!(
            fact.warnings,
            [
                "in-7.jar!/in-6.jar!/in-5.jar!/in-4.jar!/in-3.jar: it is too many archives deep; it was not read"
            ]
        );
    }

    #[test]
    fn damage_and_bombs_are_warned_about() {
        let inner = archive(&[("META-INF/maven/g/a/pom.xml", b"<project>", Stored::No)]);
        let mut bytes = archive(&[("in.jar", &inner, Stored::No), ("bad.jar", b"no zip", Stored::Yes)]);
        let fact = read_bytes(&bytes, "out.jar").unwrap();
        assert_eq!(fact.warnings, ["bad.jar: it is no zip archive"]);
        torture(&bytes, |bytes| drop(read_bytes(bytes, "out.jar")));

        // Sixteen entries that are all the same megabyte of nothing.
        let bomb = archive(&[("b.jar", &vec![0; 1 << 20], Stored::No)]);
        let end = bomb.len() - 22;
        let at = usize::try_from(u32::from_le_bytes(bomb[end + 16..end + 20].try_into().unwrap())).unwrap();
        let directory = bomb[at..end].repeat(16);
        let size = u32::try_from(directory.len()).unwrap().to_le_bytes();
        bytes = [&bomb[..at], &*directory, &bomb[end..end + 12], &size, &bomb[end + 16..]].concat();
        let too_large = |bytes_left, archives| {
            let walk = Walk { fact: Fact::default(), bytes: bytes_left, texts: MOST_TEXTS, archives };
            let fact = walk.read(&mut Cursor::new(&*bytes), bytes.len() as u64, "out.jar", 4).unwrap();
            let said = |what| fact.warnings.iter().filter(|warning| warning.contains(what)).count();
            (said("no zip archive"), said("larger than what is read"), said("more archives"))
        };
        assert_eq!(too_large(10 << 20, 100), (10, 6, 0));
        assert_eq!(too_large(1 << 30, 3), (3, 0, 13));
    }

    #[test]
    fn names_of_files_have_a_version_behind_them() {
        for (stem, expected) in [
            ("a-1.0", ("a", Some("1.0"))),
            ("a-b-1.0-SNAPSHOT", ("a-b", Some("1.0-SNAPSHOT"))),
            ("log4j-1.2-api-2.17.0", ("log4j-1.2-api", Some("2.17.0"))),
            ("a-1.0-rc1-2", ("a", Some("1.0-rc1-2"))),
            ("netty-4.1.9.Final-linux-x86_64", ("netty", Some("4.1.9.Final-linux-x86_64"))),
            ("a", ("a", None)),
            ("-1", ("-1", None)),
            ("é-1", ("é", Some("1"))),
        ] {
            assert_eq!(split_version(stem), expected);
        }
    }
}
