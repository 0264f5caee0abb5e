//! Packages in `node_modules`, by their `package.json`.
//!
//! Source: npm, "package.json"; Node.js, "Modules: CommonJS modules", how
//! `node_modules` directories are searched.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Search, from_place, integrity, npm};
use crate::Component;
use crate::catalog::{Cataloger, Content, Found, Report, Unread, Want};
use crate::language::licence;
use crate::language::lock::file_name;
use crate::language::reading::impossible;
use crate::view::View;

/// The most dependencies that are taken from one package.
const MOST_DEPENDENCIES: usize = 2_000;

/// Catalogs installed packages.
pub(crate) struct Installed;

/// What is kept of one file.
#[derive(Debug)]
pub(crate) enum Fact {
    Package(Box<Package>),
    /// A `package.json` that is none. Packages carry such files as data for
    /// their tests; only in the place of a package it matters.
    Broken(String),
    /// Yarn's list of packages that it left in archives.
    PlugAndPlay,
    /// npm's own notes on a `node_modules` directory.
    Notes(Notes),
}

#[derive(Debug)]
pub(crate) struct Package {
    component: Component,
    requires: Vec<String>,
}

/// By path from the directory that holds `node_modules`.
#[derive(Debug, Deserialize)]
pub(crate) struct Notes {
    #[serde(default)]
    packages: BTreeMap<String, Note>,
}

#[derive(Debug, Deserialize)]
struct Note {
    resolved: Option<String>,
    integrity: Option<String>,
}

/// A field that has the expected shape, or any other.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    Expected(T),
    Other(IgnoredAny),
}

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self::Other(IgnoredAny)
    }
}

impl<T: Default> Lenient<T> {
    fn get(self) -> T {
        match self {
            Self::Expected(value) => value,
            Self::Other(_) => T::default(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    name: Lenient<String>,
    #[serde(default)]
    version: Lenient<String>,
    #[serde(default)]
    license: Lenient<Licence>,
    #[serde(default)]
    licenses: Lenient<Vec<Licence>>,
    #[serde(default)]
    dependencies: Lenient<BTreeMap<String, IgnoredAny>>,
    #[serde(default)]
    optional_dependencies: Lenient<BTreeMap<String, IgnoredAny>>,
    #[serde(default)]
    peer_dependencies: Lenient<BTreeMap<String, IgnoredAny>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Licence {
    Text(String),
    Object { r#type: String },
    Several(Vec<Licence>),
}

impl Default for Licence {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Licence {
    fn texts(&self) -> Vec<&str> {
        match self {
            Self::Text(text) | Self::Object { r#type: text } => vec![text],
            Self::Several(several) => several.iter().flat_map(Self::texts).collect(),
        }
    }
}

impl Cataloger for Installed {
    type Fact = Fact;

    fn name(&self) -> &'static str {
        "npm"
    }

    fn wants(&self) -> &'static [Want] {
        &[
            Want::Name(".pnp.cjs"),
            Want::Name("package.json"),
            Want::InDirectory { suffix: "node_modules", name: ".package-lock.json" },
        ]
    }

    fn read(&self, path: &str, content: &mut Content<'_>) -> Result<Option<Fact>, Unread> {
        if file_name(path) == ".pnp.cjs" {
            return Ok(Some(Fact::PlugAndPlay));
        }
        let bytes = content.bytes()?;
        if file_name(path) == ".package-lock.json" {
            return Ok(Some(Fact::Notes(serde_json::from_slice(&bytes)?)));
        }
        Ok(match parse(&bytes) {
            Ok(package) => package.map(|package| Fact::Package(Box::new(package))),
            Err(unread) => Some(Fact::Broken(unread.reason().into())),
        })
    }

    fn catalog(&self, view: &View<'_>, found: &[Found<'_, Fact>], report: &mut Report) {
        // By directory.
        let mut packages: HashMap<&str, &Package> = HashMap::new();
        let mut notes: HashMap<String, &Note> = HashMap::new();
        for file in found {
            match file.fact {
                Fact::Package(package) => drop(packages.insert(file.directory(), package)),
                Fact::Notes(read) => {
                    let above = file.directory().strip_suffix("node_modules").unwrap_or_default();
                    notes.extend(read.packages.iter().map(|(key, note)| (format!("{above}{key}"), note)));
                }
                Fact::Broken(_) | Fact::PlugAndPlay => {}
            }
        }
        let mut search = Search::default();
        for file in found {
            let directory = file.directory();
            let in_place = is_place(directory);
            let package = match file.fact {
                Fact::Package(package) if in_place || is_application(view, directory) => package,
                Fact::PlugAndPlay => {
                    report.warn(file.path, "its packages are in Yarn's archives, which are not read");
                    continue;
                }
                Fact::Broken(why) if in_place => {
                    report.warn(file.path, why.as_str());
                    continue;
                }
                _ => continue,
            };
            let mut component = package.component.clone();
            for name in &package.requires {
                component
                    .depends_on
                    .extend(resolve(&packages, view, &mut search, directory, name).map(Component::base_purl));
            }
            if let Some(note) = notes.get(directory) {
                component.hashes.extend(note.integrity.as_deref().map(integrity).unwrap_or_default());
                note.resolved.iter().for_each(|url| from_place(&mut component, url));
            }
            if !in_place {
                component.qualifiers.insert("download_url".into(), "file://.".into());
            }
            file.place(&mut component);
            report.add(component);
        }
        if let Some(why) = search.warning() {
            report.warn("", why);
        }
    }
}

/// Whether Node finds a package in this directory by its name.
fn is_place(directory: &str) -> bool {
    // Debian keeps packages in directories of its own.
    let places = ["node_modules", "usr/share/nodejs", "usr/lib/nodejs"];
    let is_home =
        |parent: &str| places.iter().any(|place| parent == *place || parent.ends_with(&format!("/{place}")));
    let Some((parent, _)) = directory.rsplit_once('/') else { return false };
    match parent.rsplit_once('/') {
        Some((above, scope)) if scope.starts_with('@') => is_home(above),
        _ => is_home(parent),
    }
}

/// Whether this directory is of a program whose packages are below it.
fn is_application(view: &View<'_>, directory: &str) -> bool {
    !format!("/{directory}/").contains("/node_modules/")
        && view.is_directory(&format!("{directory}/node_modules"))
}

/// The package that is meant when the one in `directory` requires `name`.
/// Links, as pnpm and workspaces have them, lead to the real directory.
fn resolve<'a>(
    packages: &HashMap<&str, &'a Package>,
    view: &View<'_>,
    search: &mut Search,
    directory: &str,
    name: &str,
) -> Option<&'a Component> {
    let direct = search.nearest(directory, name, |place| packages.get(place).copied());
    let package = direct
        .or_else(|| search.nearest(directory, name, |place| packages.get(&*view.real_path(place)?).copied()));
    package.map(|package| &package.component)
}

/// Reads a `package.json`; `None` if it names no package.
fn parse(bytes: &[u8]) -> Result<Option<Package>, Unread> {
    let document: Document = serde_json::from_slice(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))?;
    let (name, version) = (document.name.get(), document.version.get());
    if name.is_empty() || version.is_empty() {
        return Ok(None);
    }
    let mut component = npm(&name, &version);
    if let Some(why) = impossible(&component) {
        return Err(format!("it is of no package: {why}").into());
    }
    let (one, several) = (document.license.get(), document.licenses.get());
    let texts = one.texts().into_iter().chain(several.iter().flat_map(Licence::texts));
    component.licence = licence::several(texts.filter(|text| !text.is_empty()), true);
    let names = document.dependencies.get().into_keys();
    let names = names.chain(document.optional_dependencies.get().into_keys());
    let mut requires: Vec<String> = names.chain(document.peer_dependencies.get().into_keys()).collect();
    requires.sort_unstable();
    requires.dedup();
    requires.truncate(MOST_DEPENDENCIES);
    Ok(Some(Package { component, requires }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::language::testing::{run, torture};

    #[test]
    fn packages_are_where_node_finds_them() {
        for (directory, expected) in [
            ("app/node_modules/a", true),
            ("node_modules/@s/a", true),
            ("app/node_modules/.pnpm/a@1.0.0/node_modules/a", true),
            ("app/node_modules/a/test/fixture", false),
            ("app/node_modules/a/dist/esm", false),
            ("app/node_modules/@s", true),
            ("usr/share/nodejs/a", true),
            ("app", false),
            ("", false),
        ] {
            assert_eq!(is_place(directory), expected, "{directory}");
        }
    }

    #[test]
    fn nested_packages_win_over_those_above() {
        let outcome = run(
            &Installed,
            &[
                ("app/node_modules/a/package.json", br#"{"name":"a","version":"1.0.0","license":"MIT","dependencies":{"b":"^1","c":"*","absent":"1"}}"#),
                ("app/node_modules/a/node_modules/b/package.json", br#"{"name":"b","version":"1.0.0","licenses":[{"type":"MIT"},{"type":"ISC"}]}"#),
                ("app/node_modules/b/package.json", br#"{"name":"b","version":"2.0.0","dependencies":[]}"#),
                ("app/node_modules/c/package.json", br#"{"name":"@real/c","version":"3.0.0","license":{"type":"Apache 2.0"},"peerDependencies":{"b":"*"}}"#),
                ("app/node_modules/c/esm/package.json", br#"{"type":"module"}"#),
                ("app/node_modules/c/test/package.json", br#"{"name":"fixture","version":"9.0.0"}"#),
                ("app/node_modules/c/test/broken/package.json", b"{"),
                (
                    "app/node_modules/.package-lock.json",
                    br#"{"packages":{"node_modules/c":{"version":"3.0.0","resolved":"https://registry.npmjs.org/@real/c/-/c-3.0.0.tgz","integrity":"sha1-AAECAwQFBgcICQoLDA0ODxAREhM="}}}"#,
                ),
            ],
        );
        assert_eq!(
            outcome.purls(),
            [
                "Installed pkg:npm/%40real/c@3.0.0",
                "Installed pkg:npm/a@1.0.0",
                "Installed pkg:npm/b@1.0.0",
                "Installed pkg:npm/b@2.0.0",
            ]
        );
        let a = outcome.get("a");
        assert_eq!(a.depends_on.iter().collect::<Vec<_>>(), ["pkg:npm/%40real/c@3.0.0", "pkg:npm/b@1.0.0"]);
        let c = outcome.get("c");
        assert_eq!(c.depends_on.iter().collect::<Vec<_>>(), ["pkg:npm/b@2.0.0"]);
        assert_eq!((c.licence.as_deref(), c.hashes.len()), (Some("Apache-2.0"), 1));
        assert_eq!(
            outcome
                .components
                .iter()
                .find(|c| c.version == "1.0.0" && c.name == "b")
                .unwrap()
                .licence
                .as_deref(),
            Some("MIT OR ISC")
        );
        assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);
    }

    #[test]
    fn a_broken_package_is_warned_about() {
        let outcome = run(
            &Installed,
            &[
                ("node_modules/a/package.json", b"{\"name\": \"a\", \"version\": "),
                ("node_modules/b/package.json", b"{\"name\": \"b\\n\", \"version\": \"1\"}"),
                ("node_modules/.package-lock.json", b"{\"packages\":[]}"),
                (".pnp.cjs", b"module.exports = 1"),
            ],
        );
        assert_eq!((outcome.components.len(), outcome.warnings.len()), (0, 4), "{:?}", outcome.warnings);
    }

    #[test]
    fn any_document_is_survived() {
        let text = br#"{"name":"a","version":"1","license":[["MIT"],{"type":"x"}],"dependencies":{"b":{}}}"#;
        assert!(parse(text).unwrap().is_some());
        torture(text, |bytes| drop(parse(bytes)));
        for nested in [r#"{"license":"#.to_owned() + &"[".repeat(1 << 20), "{\"x\":".repeat(1 << 20)] {
            assert!(parse(nested.as_bytes()).is_err());
        }
        let many = (0..100_000).map(|i| format!("\"p{i}\":1")).collect::<Vec<_>>().join(",");
        let many = format!(r#"{{"name":"a","version":"1","dependencies":{{{many}}}}}"#);
        assert_eq!(parse(many.as_bytes()).unwrap().unwrap().requires.len(), MOST_DEPENDENCIES);
    }
}
