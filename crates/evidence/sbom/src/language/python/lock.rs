//! `poetry.lock`, `uv.lock`, `Pipfile.lock` and `pylock.toml` (PEP 751).

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{from_git, normal, only_hash, requirement};
use crate::Component;
use crate::catalog::Unread;
use crate::language::reading::{MOST_COMPONENTS, Reading, declared, toml};

/// Reads any of them; the name says which.
pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<Reading, Unread> {
    match name {
        "Pipfile.lock" => pipfile(bytes),
        "poetry.lock" => toml::<Poetry>(bytes).map(Poetry::read),
        "uv.lock" => toml::<Uv>(bytes).map(Uv::read),
        "pylock.toml" => toml::<Pylock>(bytes).map(Pylock::read),
        _ => Ok(requirement::parse(&String::from_utf8_lossy(bytes))),
    }
}

/// Packages with the names of what they depend on.
#[derive(Default)]
struct Rows(Vec<(Component, Vec<String>)>);

impl Rows {
    fn push(&mut self, component: Component, depends_on: impl IntoIterator<Item = String>) {
        // One more than may be read, so that the reading says so.
        if self.0.len() <= MOST_COMPONENTS {
            self.0.push((component, depends_on.into_iter().collect()));
        }
    }

    /// Names become edges where one version of the name is locked. (A lock
    /// file can have several for different systems.)
    fn link(self) -> Reading {
        let mut by_name: HashMap<&str, Option<usize>> = HashMap::new();
        for (index, (component, _)) in self.0.iter().enumerate() {
            by_name.entry(&component.name).and_modify(|only| *only = None).or_insert(Some(index));
        }
        let targets = |names: &Vec<String>| {
            names.iter().filter_map(|name| by_name.get(&*normal(name)).copied().flatten()).collect()
        };
        let edges: Vec<Vec<usize>> = self.0.iter().map(|(_, names)| targets(names)).collect();
        Reading::linked(self.0.into_iter().map(|(component, _)| component).zip(edges).collect())
    }
}

/// The package is the project itself, or a directory beside it.
fn from_tree(component: &mut Component) {
    component.qualifiers.insert("download_url".into(), "file://.".into());
}

#[derive(Deserialize)]
struct Poetry {
    #[serde(default)]
    package: Vec<PoetryPackage>,
    /// Until version 1.x the checksums are here, by name.
    metadata: Option<PoetryMetadata>,
}

#[derive(Deserialize)]
struct PoetryMetadata {
    #[serde(default)]
    files: BTreeMap<String, Vec<File>>,
}

#[derive(Deserialize)]
struct PoetryPackage {
    name: String,
    version: String,
    #[serde(default)]
    dependencies: BTreeMap<String, IgnoredAny>,
    #[serde(default)]
    files: Vec<File>,
    source: Option<PoetrySource>,
}

#[derive(Deserialize)]
struct PoetrySource {
    r#type: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    resolved_reference: String,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    hash: String,
}

impl Poetry {
    fn read(self) -> Reading {
        let mut rows = Rows::default();
        let files = self.metadata.map(|metadata| metadata.files).unwrap_or_default();
        for package in self.package {
            let mut component = declared("pypi", normal(&package.name), package.version);
            match &package.source {
                Some(source) if source.r#type == "git" => {
                    from_git(&mut component, &source.url, &source.resolved_reference);
                }
                Some(source) if source.r#type == "url" => {
                    component.qualifiers.insert("download_url".into(), source.url.clone());
                }
                Some(source) if matches!(&*source.r#type, "directory" | "file") => from_tree(&mut component),
                Some(source) => {
                    drop(component.qualifiers.insert("repository_url".into(), source.url.clone()))
                }
                None => {}
            }
            let old = files.get(&package.name).map_or(&[][..], Vec::as_slice);
            only_hash(&mut component, package.files.iter().chain(old).map(|file| &*file.hash));
            rows.push(component, package.dependencies.into_keys());
        }
        rows.link()
    }
}

#[derive(Deserialize)]
struct Uv {
    #[serde(default)]
    package: Vec<UvPackage>,
}

#[derive(Deserialize)]
struct UvPackage {
    name: String,
    /// Absent where the project computes it.
    #[serde(default)]
    version: String,
    #[serde(default)]
    source: BTreeMap<String, toml::Value>,
    #[serde(default)]
    dependencies: Vec<Named>,
    sdist: Option<File>,
    #[serde(default)]
    wheels: Vec<File>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// The public index, which package URLs take for granted.
const PYPI: [&str; 2] = ["https://pypi.org/simple", "https://pypi.org/simple/"];

impl Uv {
    fn read(self) -> Reading {
        let mut rows = Rows::default();
        for package in self.package {
            let mut component = declared("pypi", normal(&package.name), package.version);
            let source = |key| package.source.get(key).and_then(toml::Value::as_str);
            if let Some(git) = source("git") {
                let (url, commit) = git.split_once('#').unwrap_or((git, ""));
                from_git(&mut component, url.split('?').next().unwrap_or(url), commit);
            } else if let Some(url) = source("url") {
                component.qualifiers.insert("download_url".into(), url.into());
            } else if let Some(registry) = source("registry") {
                if !PYPI.contains(&registry) {
                    component.qualifiers.insert("repository_url".into(), registry.into());
                }
            } else if !package.source.is_empty() {
                from_tree(&mut component);
            }
            only_hash(&mut component, package.sdist.iter().chain(&package.wheels).map(|file| &*file.hash));
            rows.push(component, package.dependencies.into_iter().map(|named| named.name));
        }
        rows.link()
    }
}

#[derive(Deserialize)]
struct Pylock {
    #[serde(default)]
    packages: Vec<PylockPackage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PylockPackage {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    dependencies: Vec<BTreeMap<String, toml::Value>>,
    index: Option<String>,
    vcs: Option<PylockVcs>,
    directory: Option<IgnoredAny>,
    archive: Option<PylockFile>,
    sdist: Option<PylockFile>,
    #[serde(default)]
    wheels: Vec<PylockFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PylockVcs {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    commit_id: String,
}

#[derive(Deserialize)]
struct PylockFile {
    #[serde(default)]
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

impl Pylock {
    fn read(self) -> Reading {
        let mut rows = Rows::default();
        for package in self.packages {
            let mut component = declared("pypi", normal(&package.name), package.version);
            if let Some(vcs) = &package.vcs {
                if vcs.r#type == "git" {
                    from_git(&mut component, &vcs.url, &vcs.commit_id);
                } else {
                    let url = format!("{}+{}@{}", vcs.r#type, vcs.url, vcs.commit_id);
                    component.qualifiers.insert("vcs_url".into(), url);
                }
            } else if package.directory.is_some() {
                from_tree(&mut component);
            } else if let Some(archive) = &package.archive {
                component.qualifiers.insert("download_url".into(), archive.url.clone());
            } else if let Some(index) = package.index.as_deref().filter(|index| !PYPI.contains(index)) {
                component.qualifiers.insert("repository_url".into(), index.into());
            }
            let files: Vec<&PylockFile> =
                package.archive.iter().chain(&package.sdist).chain(&package.wheels).collect();
            if let [file] = &*files {
                for (algorithm, hex) in &file.hashes {
                    only_hash(&mut component, [&*format!("{algorithm}:{hex}")]);
                }
            }
            let names = package.dependencies.iter().filter_map(|row| row.get("name")?.as_str());
            rows.push(component, names.map(Into::into));
        }
        rows.link()
    }
}

#[derive(Deserialize)]
struct Pipfile {
    #[serde(default)]
    default: BTreeMap<String, PipfilePackage>,
    #[serde(default)]
    develop: BTreeMap<String, PipfilePackage>,
}

#[derive(Deserialize)]
struct PipfilePackage {
    #[serde(default)]
    version: String,
    #[serde(default)]
    hashes: Vec<String>,
    git: Option<String>,
    #[serde(default)]
    r#ref: String,
    path: Option<IgnoredAny>,
    file: Option<String>,
}

fn pipfile(bytes: &[u8]) -> Result<Reading, Unread> {
    let lock: Pipfile = serde_json::from_slice(bytes)?;
    let mut rows = Rows::default();
    for (name, package) in lock.default.into_iter().chain(lock.develop) {
        let version = package.version.trim_start_matches('=');
        let mut component = declared("pypi", normal(&name), version);
        if let Some(git) = &package.git {
            from_git(&mut component, git, &package.r#ref);
        } else if let Some(file) = package.file {
            component.qualifiers.insert("download_url".into(), file);
        } else if package.path.is_some() {
            from_tree(&mut component);
        }
        only_hash(&mut component, package.hashes.iter().map(|hash| &**hash));
        rows.push(component, []);
    }
    Ok(rows.link())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::language::testing::torture;

    const SUM: &str = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a";

    fn purls(reading: &Reading) -> Vec<String> {
        reading.components.iter().map(|c| c.purl().to_string()).collect()
    }

    fn poetry() -> String {
        format!(
            r#"
[[package]]
name = "Flask"
version = "3.0.0"
optional = false
files = [{{file = "flask.whl", hash = "sha256:{SUM}"}}]
[package.dependencies]
Werkzeug = {{version = ">=3", markers = "x"}}
click = [{{version = "1"}}, {{version = "2"}}]

[[package]]
name = "werkzeug"
version = "3.1.0"
files = [{{file = "a", hash = "sha256:{SUM}"}}, {{file = "b", hash = "sha256:other"}}]

[[package]]
name = "forked"
version = "0.1"
[package.source]
type = "git"
url = "https://example.com/f.git"
reference = "main"
resolved_reference = "0123abc"

[metadata]
lock-version = "2.0"
files = {{}}
"#
        )
    }

    #[test]
    fn poetry_is_read() {
        let reading = parse("poetry.lock", poetry().as_bytes()).unwrap();
        assert_eq!(
            purls(&reading),
            [
                "pkg:pypi/flask@3.0.0",
                "pkg:pypi/werkzeug@3.1.0",
                "pkg:pypi/forked@0.1?vcs_url=git%2Bhttps:%2F%2Fexample.com%2Ff.git%400123abc"
            ]
        );
        let flask = &reading.components[0];
        assert_eq!((flask.hashes.len(), flask.depends_on.len()), (1, 1));
        assert!(reading.components[1].hashes.is_empty());
        let old = "[[package]]\nname = \"a\"\nversion = \"1\"\n[metadata.files]\na = [{file = \"x\", hash = \"sha256:SUM\"}]";
        let reading = parse("poetry.lock", old.replace("SUM", SUM).as_bytes()).unwrap();
        assert_eq!(reading.components[0].hashes.first().unwrap().hex, SUM);
    }

    #[test]
    fn uv_is_read() {
        let text = format!(
            r#"
version = 1
[[package]]
name = "app"
source = {{ virtual = "." }}
dependencies = [{{ name = "A_b" }}, {{ name = "twice", version = "1" }}]
[[package]]
name = "a-b"
version = "1.0"
source = {{ registry = "https://pypi.org/simple" }}
sdist = {{ url = "https://example.com/a.tar.gz", hash = "sha256:{SUM}", size = 1 }}
[[package]]
name = "twice"
version = "1"
source = {{ registry = "https://example.com/simple" }}
[[package]]
name = "twice"
version = "2"
source = {{ git = "https://example.com/t?rev=x#0123" }}
"#
        );
        let reading = parse("uv.lock", text.as_bytes()).unwrap();
        assert_eq!(
            purls(&reading),
            [
                "pkg:pypi/app?download_url=file:%2F%2F.",
                "pkg:pypi/a-b@1.0",
                "pkg:pypi/twice@1?repository_url=https:%2F%2Fexample.com%2Fsimple",
                "pkg:pypi/twice@2?vcs_url=git%2Bhttps:%2F%2Fexample.com%2Ft%400123",
            ]
        );
        let edges: Vec<&String> = reading.components[0].depends_on.iter().collect();
        assert_eq!(edges, ["pkg:pypi/a-b@1.0"], "which `twice` is meant depends on the system");
        assert_eq!(reading.components[1].hashes.len(), 1);
    }

    #[test]
    fn pylock_and_pipfile_are_read() {
        let text = format!(
            "lock-version = \"1.0\"\n[[packages]]\nname = \"a\"\nversion = \"1\"\nwheels = [{{url = \"u\", hashes = {{sha256 = \"{SUM}\"}}}}]\n\
             dependencies = [{{name = \"b\"}}]\n[[packages]]\nname = \"b\"\nvcs = {{type = \"git\", url = \"https://example.com/b\", commit-id = \"01\"}}\n\
             [[packages]]\nname = \"c\"\ndirectory = {{path = \".\"}}\n"
        );
        let reading = parse("pylock.toml", text.as_bytes()).unwrap();
        assert_eq!(
            purls(&reading),
            [
                "pkg:pypi/a@1",
                "pkg:pypi/b?vcs_url=git%2Bhttps:%2F%2Fexample.com%2Fb%4001",
                "pkg:pypi/c?download_url=file:%2F%2F."
            ]
        );
        assert!(reading.components[0].depends_on.contains("pkg:pypi/b"));
        assert_eq!(reading.components[0].hashes.len(), 1);

        let text = format!(
            r#"{{"_meta": {{}}, "default": {{"Flask": {{"hashes": ["sha256:{SUM}"], "index": "pypi", "version": "==3.0"}}}},
                "develop": {{"x": {{"git": "https://example.com/x", "ref": "01"}}}}}}"#
        );
        let reading = parse("Pipfile.lock", text.as_bytes()).unwrap();
        assert_eq!(
            purls(&reading),
            ["pkg:pypi/flask@3.0", "pkg:pypi/x?vcs_url=git%2Bhttps:%2F%2Fexample.com%2Fx%4001"]
        );
        assert_eq!(reading.components[0].hashes.len(), 1);
    }

    #[test]
    fn hostile_files_are_refused() {
        for name in ["poetry.lock", "uv.lock", "pylock.toml", "Pipfile.lock"] {
            for bad in ["\u{0}", "[[package]]\nname = 1", "[[packages]]\nname = 1", "{\"default\": []}"] {
                let reading = parse(name, bad.as_bytes());
                assert!(reading.is_err() || reading.unwrap().components.is_empty(), "{name}: {bad}");
            }
            let nested = "[".repeat(200_000);
            assert!(parse(name, nested.as_bytes()).is_err(), "{name}");
            let nested = format!("a = {}", "{a=".repeat(100_000));
            assert!(parse(name, nested.as_bytes()).is_err(), "{name}");
            torture(poetry().as_bytes(), |bytes| drop(parse(name, bytes)));
        }
    }
}
