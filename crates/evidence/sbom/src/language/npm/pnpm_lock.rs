//! `pnpm-lock.yaml`, versions 5 to 9.
//!
//! Source: pnpm, `lockfile/types` and `deps/path`. Packages are keyed by
//! `/NAME/VERSION` (5), `/NAME@VERSION` (6) or `NAME@VERSION` (9); what they
//! depend on is beside them, since version 9 in `snapshots`, where a key also
//! says which peers were chosen.

use std::collections::BTreeMap;

use super::{from_place, integrity, npm};
use crate::catalog::Unread;
use crate::language::reading::{MOST_COMPONENTS, Reading, excerpt};
use crate::language::yaml::Node;
use crate::{Component, Scope};

/// Name and version.
type Coordinates = (String, String);

/// Reads a lock file.
pub(super) fn parse(text: &str) -> Result<Reading, Unread> {
    let document = Node::parse(text)?;
    if document.get("lockfileVersion").is_none() {
        return Err("it has no lockfileVersion".into());
    }
    let mut warnings = Vec::new();
    // The same version may be there several times, with other peers.
    let mut components: BTreeMap<Coordinates, Component> = BTreeMap::new();
    for (key, package) in entries(&document, "packages") {
        if package.get("resolution").is_some_and(|resolution| resolution.get("directory").is_some()) {
            continue;
        }
        let Some((name, version)) = coordinates(key, package) else {
            if warnings.len() < 100 {
                warnings.push(format!("not understood: {}", excerpt(key)));
            }
            continue;
        };
        let component =
            components.entry((name.clone(), version.clone())).or_insert_with(|| npm(&name, &version));
        if let Some(resolution) = package.get("resolution") {
            component.hashes.extend(resolution.text_of("integrity").map(integrity).unwrap_or_default());
            let git = resolution.text_of("repo").zip(resolution.text_of("commit"));
            if let Some((repository, commit)) = git {
                from_place(component, &format!("git+{repository}#{commit}").replace("git+git+", "git+"));
            } else if let Some(url) = resolution.text_of("tarball") {
                from_place(component, url);
            }
        }
        if components.len() > MOST_COMPONENTS {
            break;
        }
    }
    let indices: BTreeMap<Coordinates, usize> = components.keys().cloned().zip(0..).collect();
    let mut targets: Vec<Vec<usize>> = vec![Vec::new(); components.len()];
    for section in ["packages", "snapshots"] {
        for (key, package) in entries(&document, section) {
            let Some(&from) = coordinates(key, package).and_then(|from| indices.get(&from)) else { continue };
            let groups =
                ["dependencies", "optionalDependencies"].iter().flat_map(|group| entries(package, group));
            let found = groups.filter_map(|(name, version)| indices.get(&target(name, version.text()?)?));
            targets[from].extend(found);
        }
    }
    let components =
        components.into_values().map(|component| Component { scope: Scope::Declared, ..component });
    let mut reading = Reading::linked(components.zip(targets).collect());
    warnings.into_iter().for_each(|warning| reading.warn(warning));
    Ok(reading)
}

fn entries<'a>(node: &'a Node, key: &str) -> &'a [(String, Node)] {
    node.get(key).map(Node::entries).unwrap_or_default()
}

/// Name and version of a package: what is written in it, or else its key.
fn coordinates(key: &str, package: &Node) -> Option<Coordinates> {
    let (name, version) = match from_key(key) {
        Some((name, version)) => (name, version),
        // Not from a registry: `github.com/owner/name/commit`.
        None => (package.text_of("name")?.into(), String::new()),
    };
    let name = package.text_of("name").map_or(name, Into::into);
    // A URL is a place, and the version is beside it.
    let version = package.text_of("version").map_or(version, Into::into);
    Some((name, if version.contains(':') { String::new() } else { version }))
}

/// Any spelling of a key: a leading `/`, then the name, `@` or `/`, the
/// version, and `(PEERS)` or `_PEERS`.
fn from_key(key: &str) -> Option<Coordinates> {
    let plain = key.split('(').next().unwrap_or(key);
    let path = plain.strip_prefix('/');
    let text = path.unwrap_or(plain);
    let scoped = text.starts_with('@');
    let name_from = if scoped { text.find('/')? + 1 } else { 0 };
    let rest = &text[name_from..];
    let at = rest.find('@').filter(|&at| at > 0);
    let slash = rest.find('/').filter(|_| path.is_some());
    // Version 5 has a slash before the version, and peers may bring an `@`.
    let end = match (at, slash) {
        (Some(at), Some(slash)) => at.min(slash),
        (Some(place), None) | (None, Some(place)) => place,
        (None, None) => return None,
    };
    let is_old = rest[end..].starts_with('/');
    let version = &rest[end + 1..];
    let version = if is_old { version.split('_').next().unwrap_or(version) } else { version };
    (!version.is_empty()).then(|| (text[..name_from + end].to_owned(), version.to_owned()))
}

/// What a dependency means: a version of the name itself, or the key of
/// another package.
fn target(name: &str, version: &str) -> Option<Coordinates> {
    if version.starts_with("link:") || version.starts_with("file:") {
        return None;
    }
    let plain = version.split('(').next().unwrap_or(version);
    // Digits come first in a version, never in a key.
    if plain.starts_with(|c: char| c.is_ascii_digit()) {
        return Some((name.into(), plain.split('_').next().unwrap_or(plain).into()));
    }
    from_key(version)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::language::testing::torture;

    const FIVE: &str = "lockfileVersion: 5.4\nspecifiers:\n  a: ^1.0.0\npackages:\n\n  /@s/c/2.1.0:\n    resolution: {integrity: sha1-AAECAwQFBgcICQoLDA0ODxAREhM=}\n    dev: false\n\n  /a/1.0.0_@s+c@2.1.0:\n    resolution: {integrity: sha512-x}\n    peerDependencies:\n      '@s/c': '*'\n    dependencies:\n      '@s/c': 2.1.0\n      alias: /real/1.5.0\n      w: link:../w\n    dev: true\n\n  /real/1.5.0:\n    resolution: {integrity: sha512-x}\n    dependencies:\n      a: 1.0.0_@s+c@2.1.0\n\n  github.com/x/forked/01:\n    resolution: {tarball: https://codeload.github.com/x/forked/tar.gz/01}\n    name: forked\n    version: 3.0.0\n\n  file:w:\n    resolution: {directory: w, type: directory}\n    name: w\n    version: 1.0.0\n";

    const SIX: &str = "lockfileVersion: '6.0'\npackages:\n  /@s/c@2.1.0:\n    resolution: {integrity: sha1-AAECAwQFBgcICQoLDA0ODxAREhM=}\n  /a@1.0.0(@s/c@2.1.0):\n    resolution: {integrity: sha512-x}\n    dependencies:\n      '@s/c': 2.1.0\n      alias: /real@1.5.0\n  /real@1.5.0:\n    resolution: {integrity: sha512-x}\n    dependencies:\n      a: 1.0.0(@s/c@2.1.0)\n  '@codeload.github.com/x/forked/tar.gz/01':\n    resolution: {tarball: https://codeload.github.com/x/forked/tar.gz/01}\n    name: forked\n    version: 3.0.0\n";

    const NINE: &str = "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      a: {specifier: ^1, version: 1.0.0}\npackages:\n  '@s/c@2.1.0':\n    resolution: {integrity: sha1-AAECAwQFBgcICQoLDA0ODxAREhM=}\n  a@1.0.0:\n    resolution: {integrity: sha512-x}\n    peerDependencies:\n      '@s/c': '*'\n  real@1.5.0:\n    resolution: {integrity: sha512-x}\n  forked@https://codeload.github.com/x/forked/tar.gz/01:\n    resolution: {tarball: https://codeload.github.com/x/forked/tar.gz/01}\n    version: 3.0.0\nsnapshots:\n  '@s/c@2.1.0': {}\n  a@1.0.0(@s/c@2.1.0):\n    dependencies:\n      '@s/c': 2.1.0\n      alias: real@1.5.0\n  real@1.5.0:\n    dependencies:\n      a: 1.0.0(@s/c@2.1.0)\n  forked@https://codeload.github.com/x/forked/tar.gz/01: {}\n";

    #[test]
    fn every_version_is_read() {
        for text in [FIVE, SIX, NINE] {
            let reading = parse(text).unwrap();
            let purls: Vec<String> = reading.components.iter().map(|c| c.purl().to_string()).collect();
            assert_eq!(
                purls,
                [
                    "pkg:npm/%40s/c@2.1.0",
                    "pkg:npm/a@1.0.0",
                    "pkg:npm/forked@3.0.0?download_url=https:%2F%2Fcodeload.github.com%2Fx%2Fforked%2Ftar.gz%2F01",
                    "pkg:npm/real@1.5.0",
                ]
            );
            let edges = |at: usize| reading.components[at].depends_on.iter().cloned().collect::<Vec<_>>();
            assert_eq!(edges(1), ["pkg:npm/%40s/c@2.1.0", "pkg:npm/real@1.5.0"], "{text}");
            assert_eq!(edges(3), ["pkg:npm/a@1.0.0"], "{text}");
            assert_eq!(reading.components[0].hashes.len(), 1);
            assert!(reading.warnings.is_empty(), "{:?}", reading.warnings);
        }
    }

    #[test]
    fn keys_in_all_spellings() {
        for (key, expected) in [
            ("/a/1.0.0", Some(("a", "1.0.0"))),
            ("/@s/a/1.0.0", Some(("@s/a", "1.0.0"))),
            ("/a/1.0.0_b@2.0.0", Some(("a", "1.0.0"))),
            ("/a/1.0.0-rc.1", Some(("a", "1.0.0-rc.1"))),
            ("/a@1.0.0(b@2.0.0)(c@3.0.0)", Some(("a", "1.0.0"))),
            ("/@s/a@1.0.0", Some(("@s/a", "1.0.0"))),
            ("@s/a@1.0.0(@t/b@2.0.0)", Some(("@s/a", "1.0.0"))),
            ("a@https://example.com/a.tgz", Some(("a", "https://example.com/a.tgz"))),
            ("a", None),
            ("@s", None),
            ("a@", None),
            ("", None),
        ] {
            let expected = expected.map(|(name, version)| (name.to_owned(), version.to_owned()));
            assert_eq!(from_key(key), expected, "{key}");
        }
    }

    #[test]
    fn hostile_files_are_survived() {
        for text in [FIVE, SIX, NINE] {
            torture(text.as_bytes(), |bytes| drop(parse(&String::from_utf8_lossy(bytes))));
        }
        for bad in ["", "a: b", "lockfileVersion: 9\npackages: &p\n  a@1: *p\n"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse("lockfileVersion: 9\npackages: {é: {}, b: [c]}").unwrap().warnings.len(), 2);
    }
}
