//! npm: what is in `node_modules`, and the lock files of npm, Yarn and pnpm.

mod installed;
mod package_lock;
mod pnpm_lock;
mod yarn_lock;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(crate) use installed::Installed;

use super::lock::LockFiles;
use crate::catalog::{Unread, Want};
use crate::language::reading::Reading;
use crate::{Component, Hash};

/// Lock files of npm, Yarn and pnpm.
pub(crate) const LOCKS: LockFiles = LockFiles {
    name: "npm-lock",
    wants: &[
        Want::Name("npm-shrinkwrap.json"),
        Want::Name("package-lock.json"),
        Want::Name("pnpm-lock.yaml"),
        Want::Name("yarn.lock"),
    ],
    parse,
};

fn parse(name: &str, bytes: &[u8]) -> Result<Reading, Unread> {
    match name {
        "yarn.lock" => yarn_lock::parse(&String::from_utf8_lossy(bytes)),
        "pnpm-lock.yaml" => pnpm_lock::parse(&String::from_utf8_lossy(bytes)),
        _ => package_lock::parse(bytes),
    }
}

/// A component by its whole name; a scope becomes the namespace.
fn npm(name: &str, version: &str) -> Component {
    match name.split_once('/') {
        Some((scope, name)) if scope.starts_with('@') => Component::new("npm", name, version).within(scope),
        _ => Component::new("npm", name, version),
    }
}

/// The strongest checksums of a Subresource Integrity text: blanks separate
/// alternatives, each an algorithm and base64.
fn integrity(text: &str) -> BTreeSet<Hash> {
    const MOST: usize = 8;
    text.split_whitespace().take(MOST).filter_map(one_integrity).collect()
}

fn one_integrity(text: &str) -> Option<Hash> {
    let (algorithm, digest) = text.split_once('-')?;
    // Options may follow a question mark.
    let digest = digest.split('?').next()?;
    let hex = STANDARD.decode(digest).ok()?.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Hash::new(algorithm, &hex)
}

/// Notes where a package comes from that does not come from a registry. Yarn
/// 1 and old npm put the tarball's SHA-1 behind the URL.
fn from_place(component: &mut Component, url: &str) {
    let (place, fragment) = url.split_once('#').unwrap_or((url, ""));
    if place.starts_with("git+") || place.starts_with("git:") || place.ends_with(".git") {
        let place = if place.starts_with("git+") { place.to_owned() } else { format!("git+{place}") };
        let at = if fragment.is_empty() { "" } else { "@" };
        component.qualifiers.insert("vcs_url".into(), format!("{place}{at}{fragment}"));
    } else if is_registry(place, component) {
        component.hashes.extend(Hash::new("SHA-1", fragment));
    } else if place.contains("://") {
        component.qualifiers.insert("download_url".into(), place.into());
    }
}

/// Whether this is the URL that a registry has for a package: all of them,
/// private ones too, serve `NAME/-/FILE`.
fn is_registry(url: &str, component: &Component) -> bool {
    url.rsplit_once("/-/").is_some_and(|(start, _)| {
        let start = start.replace("%2f", "/").replace("%2F", "/");
        start.ends_with(&*component.name)
    })
}

/// Looks for packages as Node does, with a bound on all of it.
struct Search {
    /// Places that may still be looked at.
    room: usize,
}

impl Default for Search {
    /// Two million; a project of 10,000 packages needs some 200,000.
    fn default() -> Self {
        Self { room: 2_000_000 }
    }
}

impl Search {
    /// What `find` has at the nearest place for a package that is required
    /// from `directory`.
    fn nearest<T>(
        &mut self,
        directory: &str,
        name: &str,
        mut find: impl FnMut(&str) -> Option<T>,
    ) -> Option<T> {
        // No path is longer on Linux, and each place is written out.
        if directory.len() + name.len() > 4096 {
            return None;
        }
        let mut place = String::new();
        for directory in looked_in(directory) {
            self.room = self.room.checked_sub(1)?;
            place.clear();
            place.push_str(directory);
            place.push_str(if directory.is_empty() { "node_modules/" } else { "/node_modules/" });
            place.push_str(name);
            if let Some(found) = find(&place) {
                return Some(found);
            }
        }
        None
    }

    /// That there was no room for all.
    fn warning(&self) -> Option<String> {
        (self.room == 0).then(|| "there are more dependencies than are looked for".into())
    }
}

/// Directories in whose `node_modules` Node looks for what is required from
/// `directory`, the nearest first.
fn looked_in(directory: &str) -> impl Iterator<Item = &str> {
    /// Deeper trees exist only to exhaust.
    const DEEPEST: usize = 64;
    let parents = std::iter::successors(Some(directory), |directory| {
        (!directory.is_empty()).then(|| directory.rsplit_once('/').map_or("", |(parent, _)| parent))
    });
    let is_searched = |directory: &&str| directory.rsplit('/').next() != Some("node_modules");
    parents.filter(is_searched).take(DEEPEST)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub(in crate::language) fn purl(name: &str, version: &str) -> String {
        npm(name, version).base_purl()
    }

    #[test]
    fn scopes_are_namespaces() {
        assert_eq!(npm("@babel/core", "7.0.0").purl().to_string(), "pkg:npm/%40babel/core@7.0.0");
        assert_eq!(npm("left-pad", "1").purl().to_string(), "pkg:npm/left-pad@1");
    }

    #[test]
    fn integrity_becomes_hexadecimal() {
        let hashes = integrity("sha1-AAECAwQFBgcICQoLDA0ODxAREhM= sha512-short md5-x");
        assert_eq!(hashes.first().unwrap().hex, "000102030405060708090a0b0c0d0e0f10111213");
        assert_eq!(hashes.len(), 1);
        assert!(integrity(&"x ".repeat(1 << 20)).is_empty());
    }

    #[test]
    fn places_other_than_registries_are_noted() {
        let place = |url: &str| {
            let mut component = npm("a", "1");
            from_place(&mut component, url);
            (component.purl().to_string(), component.hashes.len())
        };
        let sum = "0a".repeat(20);
        assert_eq!(
            place(&format!("https://registry.example.com/a/-/a-1.tgz#{sum}")),
            ("pkg:npm/a@1".into(), 1)
        );
        assert_eq!(
            place("git+ssh://git@github.com/x/a.git#01"),
            ("pkg:npm/a@1?vcs_url=git%2Bssh:%2F%2Fgit%40github.com%2Fx%2Fa.git%4001".into(), 0)
        );
        assert_eq!(
            place("https://example.com/a.tgz"),
            ("pkg:npm/a@1?download_url=https:%2F%2Fexample.com%2Fa.tgz".into(), 0)
        );
    }

    #[test]
    fn node_looks_in_each_directory_above() {
        let places: Vec<&str> = looked_in("app/node_modules/@s/a").collect();
        assert_eq!(places, ["app/node_modules/@s/a", "app/node_modules/@s", "app", ""]);
        assert_eq!(looked_in(&"a/".repeat(100_000)).count(), 64);
        let mut search = Search { room: 3 };
        let mut nearest = |directory: &str| {
            search.nearest(directory, "b", |place| (place == "node_modules/b").then_some(1))
        };
        assert_eq!(nearest("a"), Some(1));
        assert_eq!(nearest(&"a/".repeat(3000)), None);
        assert_eq!(nearest("a"), None);
        assert!(search.warning().is_some());
    }
}
