//! `Cargo.lock`, formats 1 to 4.
//!
//! Source: cargo, `src/cargo/core/resolver/encode.rs`.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::FROM_TREE;
use crate::catalog::Unread;
use crate::language::reading::{Edges, MOST_COMPONENTS, declared, impossible, toml};
use crate::{Component, Hash};

/// Where crates.io is called by each of its two protocols.
const CRATES_IO: [&str; 2] =
    ["registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/"];

/// A lock file.
#[derive(Debug, Default)]
pub(crate) struct Lock {
    pub(super) packages: Vec<Package>,
    pub(super) warnings: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Package {
    pub(super) component: Component,
    /// Indices of what it depends on.
    dependencies: Vec<usize>,
    /// It belongs to the tree that is built.
    member: bool,
}

impl Lock {
    /// Which packages are reached only from members about which it is known
    /// what they were linked from.
    pub(super) fn known_by(&self, is_known: impl Fn(&Component) -> bool) -> Vec<bool> {
        let (mut known, mut other) = (vec![false; self.packages.len()], vec![false; self.packages.len()]);
        // A member that another member needs is judged by that one, unless it
        // is a program of its own.
        let mut needed = vec![false; self.packages.len()];
        for package in &self.packages {
            package.dependencies.iter().for_each(|&index| needed[index] = true);
        }
        for (index, package) in self.packages.iter().enumerate() {
            if package.member && is_known(&package.component) {
                self.reach(index, &mut known);
            } else if package.member && !needed[index] {
                self.reach(index, &mut other);
            }
        }
        known.iter().zip(other).map(|(known, other)| *known && !other).collect()
    }

    fn reach(&self, from: usize, reached: &mut [bool]) {
        let mut ahead = vec![from];
        while let Some(index) = ahead.pop() {
            if !std::mem::replace(&mut reached[index], true) {
                ahead.extend(&self.packages[index].dependencies);
            }
        }
    }
}

#[derive(Deserialize)]
struct Document {
    /// Format 1 sets the program apart.
    root: Option<Row>,
    #[serde(default)]
    package: Vec<Row>,
    /// Format 1 keeps checksums here, by `checksum NAME VERSION (SOURCE)`.
    #[serde(default)]
    metadata: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// Reads a lock file.
pub(super) fn parse(bytes: &[u8]) -> Result<Lock, Unread> {
    let document: Document = toml(bytes)?;
    let mut lock = Lock::default();
    let mut rows: Vec<Row> = document.root.into_iter().chain(document.package).collect();
    if rows.len() > MOST_COMPONENTS {
        lock.warnings.push(format!("it names more than {MOST_COMPONENTS} packages; the rest was not read"));
        rows.truncate(MOST_COMPONENTS);
    }
    rows.retain(|row| {
        let why = impossible(&declared("cargo", row.name.as_str(), row.version.as_str()));
        lock.warnings.extend(why.iter().map(|why| format!("a package was left out: {why}")));
        why.is_none()
    });
    let mut places: HashMap<Name<'_>, usize> = HashMap::new();
    for (index, row) in rows.iter().enumerate() {
        let (version, source) = (Some(&*row.version), row.source.as_deref());
        for name in [(&*row.name, None, None), (&*row.name, version, None), (&*row.name, version, source)] {
            places.entry(name).or_insert(index);
        }
    }
    let components: Vec<Component> = rows.iter().map(|row| component(row, &document.metadata)).collect();
    let purls: Vec<String> = components.iter().map(Component::base_purl).collect();
    let mut edges = Edges::new(&purls);
    for (row, mut component) in rows.iter().zip(components) {
        let dependencies: Vec<usize> =
            row.dependencies.iter().filter_map(|text| places.get(&name(text)).copied()).collect();
        component.depends_on = edges.to(dependencies.iter().copied());
        lock.packages.push(Package { component, dependencies, member: row.source.is_none() });
    }
    lock.warnings.extend(edges.warning());
    Ok(lock)
}

/// How a dependency names a package: as short as is unique.
type Name<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

/// `NAME`, `NAME VERSION` or `NAME VERSION (SOURCE)`.
fn name(text: &str) -> Name<'_> {
    let mut words = text.splitn(3, ' ');
    let (name, version) = (words.next().unwrap_or_default(), words.next());
    (name, version, words.next().map(|text| text.trim_start_matches('(').trim_end_matches(')')))
}

fn component(row: &Row, metadata: &BTreeMap<String, toml::Value>) -> Component {
    let mut component = declared("cargo", row.name.as_str(), row.version.as_str());
    let Some(source) = &row.source else {
        component.qualifiers.insert(FROM_TREE.0.into(), FROM_TREE.1.into());
        return component;
    };
    component.qualifiers.extend(qualifier(source));
    let old = || {
        let key = format!("checksum {} {} ({source})", row.name, row.version);
        metadata.get(&key).and_then(toml::Value::as_str)
    };
    let checksum = row.checksum.as_deref().or_else(old);
    component.hashes.extend(checksum.and_then(|hex| Hash::new("SHA-256", hex)));
    component
}

/// Where a package comes from that is not on crates.io.
fn qualifier(source: &str) -> Option<(String, String)> {
    if CRATES_IO.contains(&source) {
        return None;
    }
    if source.starts_with("git+") {
        let (place, commit) = source.split_once('#').unwrap_or((source, ""));
        let place = place.split('?').next().unwrap_or(place);
        let at = if commit.is_empty() { "" } else { "@" };
        return Some(("vcs_url".into(), format!("{place}{at}{commit}")));
    }
    let registry = source.strip_prefix("registry+").or_else(|| source.strip_prefix("sparse+"));
    Some(("repository_url".into(), registry.unwrap_or(source).into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::language::testing::torture;

    const INDEX: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn purls(lock: &Lock) -> Vec<String> {
        lock.packages.iter().map(|package| package.component.purl().to_string()).collect()
    }

    #[test]
    fn the_first_format_is_read() {
        let sum = "0f".repeat(32);
        let text = format!(
            "[root]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\n \"a 1.0.0 ({INDEX})\",\n]\n\n\
             [[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"{INDEX}\"\n\n\
             [metadata]\n\"checksum a 1.0.0 ({INDEX})\" = \"{sum}\"\n"
        );
        let lock = parse(text.as_bytes()).unwrap();
        assert_eq!(purls(&lock), ["pkg:cargo/app@0.1.0?download_url=file:%2F%2F.", "pkg:cargo/a@1.0.0"]);
        assert!(lock.packages[0].component.depends_on.contains("pkg:cargo/a@1.0.0"));
        assert_eq!(lock.packages[1].component.hashes.first().unwrap().hex, sum);
    }

    #[test]
    fn later_formats_name_dependencies_as_short_as_is_unique() {
        let text = format!(
            "version = 4\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\"a 2.0.0\", \"b\"]\n\
             [[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"{INDEX}\"\n\
             [[package]]\nname = \"a\"\nversion = \"2.0.0\"\nsource = \"sparse+https://crates.example.com/index/\"\n\
             [[package]]\nname = \"b\"\nversion = \"1.0.0\"\nsource = \"git+ssh://git@example.com/b?tag=v1#abc\"\n"
        );
        let lock = parse(text.as_bytes()).unwrap();
        assert_eq!(lock.packages[0].dependencies, [2, 3]);
        assert_eq!(
            purls(&lock)[2..],
            [
                "pkg:cargo/a@2.0.0?repository_url=https:%2F%2Fcrates.example.com%2Findex%2F",
                "pkg:cargo/b@1.0.0?vcs_url=git%2Bssh:%2F%2Fgit%40example.com%2Fb%40abc"
            ]
        );
    }

    #[test]
    fn a_package_is_known_only_if_no_other_program_needs_it() {
        let row = |name: &str, source: bool, dependencies: &str| {
            let source = if source { format!("source = \"{INDEX}\"\n") } else { String::new() };
            format!(
                "[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n{source}dependencies = [{dependencies}]\n"
            )
        };
        let text = [
            row("app", false, r#""shared", "own", "library""#),
            row("library", false, r#""below""#),
            row("tool", false, r#""shared""#),
            row("shared", true, ""),
            row("own", true, r#""own", "below""#),
            row("below", true, ""),
        ]
        .concat();
        let lock = parse(text.as_bytes()).unwrap();
        let known = lock.known_by(|component| component.name == "app");
        assert_eq!(known, [true, true, false, false, true, true]);
        assert_eq!(lock.known_by(|_| false), [false; 6]);
    }

    #[test]
    fn the_lock_file_of_this_workspace_is_read() {
        let text = include_str!("../../../../../../Cargo.lock");
        let lock = parse(text.as_bytes()).unwrap();
        assert_eq!(lock.packages.len(), text.matches("[[package]]").count());
        assert!(lock.packages.iter().all(|package| package.member == package.component.hashes.is_empty()));
        let edges: usize = lock.packages.iter().map(|package| package.dependencies.len()).sum();
        let written = text.lines().filter(|line| line.starts_with(" \"")).count();
        assert_eq!(edges, written, "every edge leads to a package");
        assert!(lock.warnings.is_empty());
    }

    #[test]
    fn hostile_files_are_refused_or_read_in_part() {
        for bad in [&b"\xff"[..], b"[[package]]\nname = 1\n", b"[[package]]\n", b"version = "] {
            assert!(parse(bad).is_err());
        }
        let nested = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse(nested.as_bytes()).is_err());
        let odd = parse(b"[[package]]\nname = \"\"\nversion = \"1\"\n[[package]]\nname = \"a\"\nversion = \"1\"\ndependencies = [\"\", \"x\", \"a\"]").unwrap();
        assert_eq!(
            (odd.packages.len(), odd.warnings.len(), &*odd.packages[0].dependencies),
            (1, 1, &[0][..])
        );
        let text = "[[package]]\nname = \"a\"\nversion = \"1\"\nsource = \"git+x#y\"\ndependencies = [\"a 1 (git+x#y)\"]\n";
        torture(text.as_bytes(), |bytes| drop(parse(bytes)));
    }
}
