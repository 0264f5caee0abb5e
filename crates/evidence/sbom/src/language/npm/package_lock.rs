//! `package-lock.json` and `npm-shrinkwrap.json`, versions 1 to 3.
//!
//! Source: npm, "package-lock.json".

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Search, from_place, integrity, npm};
use crate::catalog::Unread;
use crate::language::licence;
use crate::language::reading::{MOST_COMPONENTS, Reading};
use crate::{Component, Scope};

#[derive(Deserialize)]
struct Document {
    /// Since version 2, by path.
    packages: Option<BTreeMap<String, Package>>,
    /// Version 1, by name and nested; version 2 has both.
    #[serde(default)]
    dependencies: BTreeMap<String, Dependency>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    /// Given where it is not the last part of the path.
    name: Option<String>,
    version: Option<String>,
    resolved: Option<String>,
    integrity: Option<String>,
    /// The directory of a workspace or of a local package.
    #[serde(default)]
    link: bool,
    license: Option<serde_json::Value>,
    #[serde(default)]
    dependencies: BTreeMap<String, IgnoredAny>,
    #[serde(default)]
    optional_dependencies: BTreeMap<String, IgnoredAny>,
    #[serde(default)]
    peer_dependencies: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
struct Dependency {
    #[serde(default)]
    version: String,
    resolved: Option<String>,
    integrity: Option<String>,
    #[serde(default)]
    requires: Requires,
    #[serde(default)]
    dependencies: BTreeMap<String, Dependency>,
}

/// Names with ranges; the oldest files have only `true`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Requires {
    Names(BTreeMap<String, IgnoredAny>),
    Other(IgnoredAny),
}

impl Default for Requires {
    fn default() -> Self {
        Self::Other(IgnoredAny)
    }
}

/// A package with its path and the names that it requires.
struct Row {
    path: String,
    component: Component,
    requires: Vec<String>,
}

/// Reads a lock file.
pub(super) fn parse(bytes: &[u8]) -> Result<Reading, Unread> {
    let document: Document = serde_json::from_slice(bytes)?;
    let mut rows = Vec::new();
    match document.packages {
        Some(packages) => rows.extend(packages.into_iter().filter_map(|(path, package)| package.row(path))),
        None => nested("", document.dependencies, &mut rows),
    }
    Ok(link(rows))
}

fn link(mut rows: Vec<Row>) -> Reading {
    // One more than may be read, so that the reading says so.
    rows.truncate(MOST_COMPONENTS + 1);
    let by_path: HashMap<&str, usize> =
        rows.iter().enumerate().map(|(index, row)| (&*row.path, index)).collect();
    let mut search = Search::default();
    let edges: Vec<Vec<usize>> = rows
        .iter()
        .map(|row| {
            let find = |name| search.nearest(&row.path, name, |place| by_path.get(place).copied());
            row.requires.iter().map(String::as_str).filter_map(find).collect()
        })
        .collect();
    let components = rows.into_iter().map(|row| Component { scope: Scope::Declared, ..row.component });
    let mut reading = Reading::linked(components.zip(edges).collect());
    reading.warnings.extend(search.warning());
    reading
}

impl Package {
    /// Links, workspaces and the project itself are no packages.
    fn row(self, path: String) -> Option<Row> {
        let last = path.rsplit_once("node_modules/").map(|(_, last)| last)?;
        if self.link {
            return None;
        }
        let mut component = npm(self.name.as_deref().unwrap_or(last), &self.version.unwrap_or_default());
        component.hashes = self.integrity.as_deref().map(integrity).unwrap_or_default();
        component.licence =
            self.license.as_ref().and_then(serde_json::Value::as_str).and_then(licence::declared);
        self.resolved.iter().for_each(|url| from_place(&mut component, url));
        let names = self.dependencies.into_keys().chain(self.optional_dependencies.into_keys());
        let requires = names.chain(self.peer_dependencies.into_keys()).collect();
        Some(Row { path, component, requires })
    }
}

/// Version 1; the JSON parser bounds the depth.
fn nested(above: &str, dependencies: BTreeMap<String, Dependency>, rows: &mut Vec<Row>) {
    for (name, dependency) in dependencies {
        if rows.len() > MOST_COMPONENTS {
            return;
        }
        let path = format!("{above}node_modules/{name}");
        nested(&format!("{path}/"), dependency.dependencies, rows);
        let version = &*dependency.version;
        // `npm:REAL@VERSION` is another package under this name.
        let alias = version.strip_prefix("npm:").and_then(|alias| alias.rsplit_once('@'));
        let (real, version) = alias.unwrap_or((&name, version));
        if version.starts_with("file:") {
            continue;
        }
        let mut component = if version.contains(':') { npm(real, "") } else { npm(real, version) };
        if version.contains(':') {
            from_place(&mut component, version);
        }
        component.hashes = dependency.integrity.as_deref().map(integrity).unwrap_or_default();
        dependency.resolved.iter().for_each(|url| from_place(&mut component, url));
        let requires = match dependency.requires {
            Requires::Names(names) => names.into_keys().collect(),
            Requires::Other(_) => Vec::new(),
        };
        rows.push(Row { path, component, requires });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::language::testing::torture;

    const NEW: &str = r#"{"name":"app","lockfileVersion":3,"packages":{
        "":{"name":"app","version":"1.0.0","dependencies":{"a":"^1"}},
        "node_modules/a":{"version":"1.0.0","resolved":"https://registry.npmjs.org/a/-/a-1.0.0.tgz","integrity":"sha1-AAECAwQFBgcICQoLDA0ODxAREhM=","license":"MIT","dependencies":{"b":"1","@s/c":"2"}},
        "node_modules/a/node_modules/b":{"version":"1.0.0","inBundle":true},
        "node_modules/b":{"version":"2.0.0","resolved":"git+ssh://git@example.com/b.git#01"},
        "node_modules/alias":{"name":"@s/c","version":"2.0.0"},
        "node_modules/@s/c":{"version":"2.1.0","optional":true,"peerDependencies":{"b":"*"}},
        "node_modules/w":{"resolved":"packages/w","link":true},
        "packages/w":{"version":"0.1.0"}}}"#;

    const OLD: &str = r#"{"name":"app","lockfileVersion":1,"dependencies":{
        "a":{"version":"1.0.0","integrity":"sha1-AAECAwQFBgcICQoLDA0ODxAREhM=","requires":{"b":"1","@s/c":"2"},
            "dependencies":{"b":{"version":"1.0.0","bundled":true}}},
        "b":{"version":"git+ssh://git@example.com/b.git#01","from":"x"},
        "alias":{"version":"npm:@s/c@2.0.0"},
        "@s/c":{"version":"2.1.0","requires":true},
        "w":{"version":"file:packages/w"}}}"#;

    #[test]
    fn every_version_is_read() {
        for (text, b) in [(NEW, "pkg:npm/b@2.0.0"), (OLD, "pkg:npm/b")] {
            let reading = parse(text.as_bytes()).unwrap();
            let mut purls: Vec<String> = reading.components.iter().map(|c| c.purl().to_string()).collect();
            purls.sort();
            let expected = [
                "pkg:npm/%40s/c@2.0.0",
                "pkg:npm/%40s/c@2.1.0",
                "pkg:npm/a@1.0.0",
                &*format!("{b}?vcs_url=git%2Bssh:%2F%2Fgit%40example.com%2Fb.git%4001"),
                "pkg:npm/b@1.0.0",
            ];
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            assert_eq!(purls, expected);
            let a = reading.components.iter().find(|c| c.name == "a").unwrap();
            assert_eq!(a.depends_on.iter().collect::<Vec<_>>(), ["pkg:npm/%40s/c@2.1.0", "pkg:npm/b@1.0.0"]);
            assert_eq!((a.hashes.len(), a.scope), (1, Scope::Declared));
            assert!(reading.warnings.is_empty(), "{:?}", reading.warnings);
        }
    }

    #[test]
    fn hostile_files_are_refused_or_bounded() {
        for bad in ["", "[]", "{\"packages\":[]}", "{\"dependencies\":{\"a\":1}}"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let deep = r#"{"dependencies":{"a":"#.repeat(10_000);
        assert!(parse(deep.as_bytes()).is_err());
        let many = (0..MOST_COMPONENTS + 10)
            .map(|i| format!("\"node_modules/p{i}\":{{\"version\":\"1\"}}"))
            .collect::<Vec<_>>()
            .join(",");
        let reading = parse(format!("{{\"packages\":{{{many}}}}}").as_bytes()).unwrap();
        assert_eq!((reading.components.len(), reading.warnings.len()), (MOST_COMPONENTS, 1));
        for text in [NEW, OLD] {
            torture(text.as_bytes(), |bytes| drop(parse(bytes)));
        }
    }
}
