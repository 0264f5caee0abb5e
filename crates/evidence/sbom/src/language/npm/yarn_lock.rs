//! `yarn.lock`: Yarn 1's own format, and the YAML of Yarn 2 and later.
//!
//! Sources: Yarn 1, `src/lockfile/parse.js`; Yarn Berry, "Lexicon"
//! (descriptors and locators).

use std::collections::HashMap;

use super::{from_place, integrity, npm};
use crate::catalog::Unread;
use crate::language::reading::{MOST_COMPONENTS, Reading};
use crate::language::yaml::Node;
use crate::{Component, Scope};

/// A package with the descriptors that lead to it and those that it requires.
struct Entry {
    descriptors: Vec<String>,
    component: Component,
    requires: Vec<String>,
}

/// Reads either format.
pub(super) fn parse(text: &str) -> Result<Reading, Unread> {
    if text.lines().any(|line| line.starts_with("__metadata:")) {
        return berry(text);
    }
    let mut warnings = Vec::new();
    let entries = first(text, &mut warnings);
    let mut reading = link(entries);
    warnings.into_iter().for_each(|warning| reading.warn(warning));
    Ok(reading)
}

fn link(mut entries: Vec<Entry>) -> Reading {
    // One more than may be read, so that the reading says so.
    entries.truncate(MOST_COMPONENTS + 1);
    let mut by_descriptor: HashMap<&str, usize> = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        by_descriptor.extend(entry.descriptors.iter().map(|descriptor| (&**descriptor, index)));
    }
    let targets = |entry: &Entry| {
        entry.requires.iter().filter_map(|descriptor| by_descriptor.get(&**descriptor).copied()).collect()
    };
    let edges: Vec<Vec<usize>> = entries.iter().map(targets).collect();
    let components = entries.into_iter().map(|entry| Component { scope: Scope::Declared, ..entry.component });
    Reading::linked(components.zip(edges).collect())
}

/// The name before the range; a scope begins with `@` too.
fn split(descriptor: &str) -> Option<(&str, &str)> {
    let at = descriptor.get(1..)?.find('@')? + 1;
    Some((&descriptor[..at], &descriptor[at + 1..]))
}

/// Yarn 1: indented lines of words, of which some are quoted.
fn first(text: &str, warnings: &mut Vec<String>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut in_dependencies = false;
    for line in text.lines() {
        let depth = line.len() - line.trim_start_matches(' ').len();
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if depth == 0 {
            if entries.len() > MOST_COMPONENTS {
                break;
            }
            let descriptors: Vec<String> = line
                .trim_end_matches(':')
                .split(", ")
                .map(|word| word.trim_matches('"').to_owned())
                .collect();
            let Some((name, range)) = descriptors.first().and_then(|descriptor| split(descriptor)) else {
                if warnings.len() < 10 {
                    warnings.push(format!("not understood: {}", crate::language::reading::excerpt(line)));
                }
                continue;
            };
            // `ALIAS@npm:REAL@RANGE` is another package under this name.
            let real = range.strip_prefix("npm:").and_then(split).map_or(name, |(real, _)| real);
            entries.push(Entry { component: npm(real, ""), descriptors, requires: Vec::new() });
            continue;
        }
        let Some(entry) = entries.last_mut() else { continue };
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let (key, value) = (key.trim_matches('"'), value.trim().trim_matches('"'));
        match (depth, key) {
            (2, "dependencies:" | "optionalDependencies:") => in_dependencies = true,
            (2, _) => {
                in_dependencies = false;
                match key {
                    "version" => entry.component.version = value.into(),
                    "resolved" => from_place(&mut entry.component, value),
                    "integrity" => entry.component.hashes.extend(integrity(value)),
                    _ => {}
                }
            }
            (_, name) if in_dependencies => entry.requires.push(format!("{name}@{value}")),
            _ => {}
        }
    }
    entries
}

/// Yarn 2 and later. The checksums there are of its own archives, not of the
/// packages as the registry has them.
fn berry(text: &str) -> Result<Reading, Unread> {
    let document = Node::parse(text)?;
    let mut entries = Vec::new();
    for (key, value) in document.entries() {
        let Some((name, place)) = value.text_of("resolution").and_then(split) else { continue };
        // Workspaces and linked directories are no packages.
        if ["workspace:", "link:", "portal:", "file:"].iter().any(|local| place.starts_with(local)) {
            continue;
        }
        let (name, place) = patched(name, place);
        let mut component = npm(&name, value.text_of("version").unwrap_or_default());
        if !place.starts_with("npm:") {
            from_place(&mut component, &place.replace("#commit=", "#"));
        }
        let dependencies = value.get("dependencies").map(Node::entries).unwrap_or_default();
        let requires = dependencies.iter().filter_map(|(name, range)| Some((name, range.text()?)));
        entries.push(Entry {
            descriptors: key.split(", ").flat_map(spellings).collect(),
            component,
            requires: requires.map(|(name, range)| format!("{name}@{}", plain(range))).collect(),
        });
        if entries.len() > MOST_COMPONENTS {
            break;
        }
    }
    Ok(link(entries))
}

/// The package under a patch: `patch:NAME@npm%3AVERSION#…`.
fn patched(name: &str, place: &str) -> (String, String) {
    let Some(inner) = place.strip_prefix("patch:") else { return (name.into(), place.into()) };
    let inner = inner.replace("%3A", ":").replace("%2F", "/").replace("%40", "@");
    let inner = inner.split('#').next().unwrap_or_default();
    split(inner).map_or((name.into(), place.into()), |(name, place)| (name.into(), place.into()))
}

/// Dependencies are written with and without `npm:`, by version of Yarn.
fn plain(range: &str) -> &str {
    range.strip_prefix("npm:").unwrap_or(range)
}

fn spellings(descriptor: &str) -> Option<String> {
    let (name, range) = split(descriptor)?;
    Some(format!("{name}@{}", plain(range)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::language::testing::torture;

    const FIRST: &str = r#"# yarn lockfile v1


"@s/c@^2.0.0":
  version "2.1.0"
  resolved "https://registry.yarnpkg.com/@s/c/-/c-2.1.0.tgz#000102030405060708090a0b0c0d0e0f10111213"
  integrity sha1-AAECAwQFBgcICQoLDA0ODxAREhM=

a@^1.0.0, a@~1.0.0:
  version "1.0.0"
  resolved "https://registry.yarnpkg.com/a/-/a-1.0.0.tgz"
  dependencies:
    "@s/c" "^2.0.0"
    alias "npm:real@1"
  optionalDependencies:
    absent "^9"

"alias@npm:real@1":
  version "1.5.0"
  dependencies:
    a "~1.0.0"
"#;

    const BERRY: &str = r#"# This file is generated.

__metadata:
  version: 8
  cacheKey: 10c0

"@s/c@npm:^2.0.0":
  version: 2.1.0
  resolution: "@s/c@npm:2.1.0"
  checksum: 10c0/00
  languageName: node
  linkType: hard

"a@npm:^1.0.0, a@npm:~1.0.0":
  version: 1.0.0
  resolution: "a@npm:1.0.0"
  dependencies:
    "@s/c": "npm:^2.0.0"
    alias: "npm:real@1"
  linkType: hard

"alias@npm:real@1":
  version: 1.5.0
  resolution: "real@npm:1.5.0"
  dependencies:
    a: ~1.0.0
  linkType: hard

"patched@patch:patched@npm%3A1.0.0#optional!builtin<compat/x>":
  version: 1.0.0
  resolution: "patched@patch:patched@npm%3A1.0.0#optional!builtin<compat/x>::version=1.0.0&hash=ab"
  linkType: hard

"forked@https://example.com/f.git":
  version: 3.0.0
  resolution: "forked@https://example.com/f.git#commit=01"
  linkType: hard

"app@workspace:.":
  version: 0.0.0-use.local
  resolution: "app@workspace:."
  linkType: soft
"#;

    fn purls(reading: &Reading) -> Vec<String> {
        reading.components.iter().map(|c| c.purl().to_string()).collect()
    }

    fn edges(reading: &Reading, name: &str) -> Vec<String> {
        reading.components.iter().find(|c| c.name == name).unwrap().depends_on.iter().cloned().collect()
    }

    #[test]
    fn both_formats_are_read() {
        let reading = parse(FIRST).unwrap();
        assert_eq!(purls(&reading), ["pkg:npm/%40s/c@2.1.0", "pkg:npm/a@1.0.0", "pkg:npm/real@1.5.0"]);
        assert_eq!(edges(&reading, "a"), ["pkg:npm/%40s/c@2.1.0", "pkg:npm/real@1.5.0"]);
        assert_eq!(edges(&reading, "real"), ["pkg:npm/a@1.0.0"]);
        assert_eq!(reading.components[0].hashes.len(), 1, "the fragment and the integrity say the same");
        let reading = parse(BERRY).unwrap();
        assert_eq!(
            purls(&reading),
            [
                "pkg:npm/%40s/c@2.1.0",
                "pkg:npm/a@1.0.0",
                "pkg:npm/real@1.5.0",
                "pkg:npm/patched@1.0.0",
                "pkg:npm/forked@3.0.0?vcs_url=git%2Bhttps:%2F%2Fexample.com%2Ff.git%4001",
            ]
        );
        assert_eq!(edges(&reading, "a"), ["pkg:npm/%40s/c@2.1.0", "pkg:npm/real@1.5.0"]);
        assert_eq!(edges(&reading, "real"), ["pkg:npm/a@1.0.0"]);
    }

    #[test]
    fn hostile_files_are_survived() {
        torture(FIRST.as_bytes(), |bytes| drop(parse(&String::from_utf8_lossy(bytes))));
        torture(BERRY.as_bytes(), |bytes| drop(parse(&String::from_utf8_lossy(bytes))));
        let reading = parse("é:\n  version 1\nno-range:\n").unwrap();
        assert_eq!((reading.components.len(), reading.warnings.len()), (0, 2));
        assert_eq!(parse(&"a@1:\n".repeat(MOST_COMPONENTS + 10)).unwrap().components.len(), MOST_COMPONENTS);
        assert!(parse("__metadata:\n  a: &a [*a, *a]\n").is_err());
    }
}
