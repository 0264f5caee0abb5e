//! Installed distributions: `*.dist-info/METADATA` and `*.egg-info`.
//!
//! Sources: PyPA specifications "Core metadata", "Recording installed
//! projects", "Direct URL data structure"; PEP 639 for licences.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::requirement::Requirement;
use super::{from_git, normal, only_hash};
use crate::Component;
use crate::catalog::{Cataloger, Content, Found, Report, Unread, Want};
use crate::language::licence;
use crate::language::lock::file_name;
use crate::language::reading::impossible;
use crate::view::View;

/// The most dependencies that are taken from one distribution.
const MOST_DEPENDENCIES: usize = 2_000;

/// Catalogs installed distributions.
pub(crate) struct Installed;

/// What is kept of one file.
#[derive(Debug)]
pub(crate) enum Fact {
    Metadata(Box<Distribution>),
    /// `direct_url.json` beside a `METADATA`.
    Origin(DirectUrl),
}

#[derive(Debug)]
pub(crate) struct Distribution {
    component: Component,
    /// Normalised names.
    requires: Vec<String>,
}

/// Where a distribution came from that came from no index.
#[derive(Debug, Deserialize)]
pub(crate) struct DirectUrl {
    url: String,
    vcs_info: Option<VcsInfo>,
    archive_info: Option<ArchiveInfo>,
}

#[derive(Debug, Deserialize)]
struct VcsInfo {
    vcs: String,
    #[serde(default)]
    commit_id: String,
}

#[derive(Debug, Deserialize)]
struct ArchiveInfo {
    /// `sha256=…`; older than `hashes`.
    hash: Option<String>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

impl Cataloger for Installed {
    type Fact = Fact;

    fn name(&self) -> &'static str {
        "python"
    }

    fn wants(&self) -> &'static [Want] {
        &[
            Want::InDirectory { suffix: ".dist-info", name: "METADATA" },
            Want::InDirectory { suffix: ".dist-info", name: "direct_url.json" },
            Want::InDirectory { suffix: ".egg-info", name: "PKG-INFO" },
            Want::InDirectory { suffix: "EGG-INFO", name: "PKG-INFO" },
            Want::Suffix(".egg-info"),
        ]
    }

    fn read(&self, path: &str, content: &mut Content<'_>) -> Result<Option<Fact>, Unread> {
        if file_name(path) == "direct_url.json" {
            return Ok(Some(Fact::Origin(serde_json::from_slice(&content.bytes()?)?)));
        }
        parse(&content.text()?).map(|distribution| Some(Fact::Metadata(Box::new(distribution))))
    }

    fn catalog(&self, _: &View<'_>, found: &[Found<'_, Fact>], report: &mut Report) {
        let mut origins: BTreeMap<&str, &DirectUrl> = BTreeMap::new();
        let mut installed: BTreeMap<&str, Vec<(&str, &Component)>> = BTreeMap::new();
        for file in found {
            match file.fact {
                Fact::Origin(origin) => drop(origins.insert(file.directory(), origin)),
                Fact::Metadata(distribution) => {
                    let component = &distribution.component;
                    installed.entry(&component.name).or_default().push((environment(file), component));
                }
            }
        }
        for file in found {
            let Fact::Metadata(distribution) = file.fact else { continue };
            let mut component = distribution.component.clone();
            for name in &distribution.requires {
                let places = installed.get(&**name).map_or(&[][..], Vec::as_slice);
                let here = places.iter().find(|(place, _)| *place == environment(file));
                // Distributions keep their own packages in one directory and
                // what is added in another.
                let only = if let [only] = places { Some(only) } else { None };
                component.depends_on.extend(here.or(only).map(|(_, component)| component.base_purl()));
            }
            if let Some(origin) = origins.get(file.directory()) {
                origin.note(&mut component);
            }
            file.place(&mut component);
            report.add(component);
        }
    }
}

/// The directory in which distributions see each other.
fn environment<'a, F>(file: &Found<'a, F>) -> &'a str {
    let parent = |path: &'a str| path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let directory = parent(file.path);
    match file_name(file.path) {
        "PKG-INFO" if directory.ends_with("EGG-INFO") => parent(parent(directory)),
        "PKG-INFO" | "METADATA" => parent(directory),
        _ => directory,
    }
}

impl DirectUrl {
    fn note(&self, component: &mut Component) {
        match (&self.vcs_info, &self.archive_info) {
            (Some(VcsInfo { vcs, commit_id }), _) if vcs == "git" => {
                from_git(component, &self.url, commit_id)
            }
            (Some(VcsInfo { vcs, commit_id }), _) => {
                component.qualifiers.insert("vcs_url".into(), format!("{vcs}+{}@{commit_id}", self.url));
            }
            (None, Some(archive)) => {
                component.qualifiers.insert("download_url".into(), self.url.clone());
                let hashes = archive.hashes.iter().map(|(name, hex)| format!("{name}={hex}"));
                for hash in hashes.chain(archive.hash.clone()) {
                    only_hash(component, [&*hash]);
                }
            }
            // A directory of the machine that built.
            (None, None) => drop(component.qualifiers.insert("download_url".into(), "file://.".into())),
        }
    }
}

/// Reads core metadata: headers, of which some come more than once.
fn parse(text: &str) -> Result<Distribution, Unread> {
    let (mut name, mut version) = ("", "");
    let (mut expression, mut licence_text) = (String::new(), String::new());
    let mut classifiers = Vec::new();
    let mut requires: Vec<String> = Vec::new();
    let mut lines = text.trim_start_matches('\u{feff}').lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() {
            break;
        }
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match &*key.to_ascii_lowercase() {
            "name" => name = value,
            "version" => version = value,
            "license-expression" => expression = value.into(),
            "license" if !value.is_empty() => {
                licence_text = value.into();
                // Only whether there is more matters: then this is no name.
                let more =
                    lines.peek().is_some_and(|next| next.starts_with([' ', '\t']) && !next.trim().is_empty());
                licence_text.push_str(if more { "\n…" } else { "" });
            }
            "classifier" => classifiers.extend(value.strip_prefix("License :: ")),
            "requires-dist" if requires.len() < MOST_DEPENDENCIES => {
                let requirement = Requirement::parse(value).filter(|requirement| !requirement.is_elsewhere());
                requires.extend(requirement.map(|requirement| normal(requirement.name)));
            }
            _ => {}
        }
    }
    let mut component = Component::new("pypi", normal(name), version);
    if let Some(why) = impossible(&component) {
        return Err(format!("its metadata are of no package: {why}").into());
    }
    component.licence = chosen_licence(&expression, &licence_text, &classifiers);
    Ok(Distribution { component, requires })
}

/// The expression where there is one; else what the licence's name or the
/// classifiers surely mean; else what is written.
fn chosen_licence(expression: &str, text: &str, classifiers: &[&str]) -> Option<String> {
    if let Some(expression) = licence::declared(expression) {
        return Some(expression);
    }
    let names: Vec<&str> = classifiers
        .iter()
        .map(|classifier| classifier.rsplit(" :: ").next().unwrap_or(classifier))
        .filter(|name| *name != "OSI Approved")
        .collect();
    let by_classifier = licence::several(names, false);
    let is_certain = |text: &String| licence::expression(text).is_some();
    let by_text = licence::declared(text);
    by_text
        .clone()
        .filter(is_certain)
        .or_else(|| by_classifier.clone().filter(is_certain))
        .or_else(|| by_text.filter(|_| !text.ends_with('…')))
        .or(by_classifier)
        .or_else(|| licence::declared(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::language::testing::{run, torture};

    const FLASK: &str = "Metadata-Version: 2.1\nName: Flask\nVersion: 3.0.0\nLicense: BSD-3-Clause\n\
        Requires-Dist: Werkzeug>=3.0\nRequires-Dist: colorama; sys_platform == \"win32\"\n\
        Requires-Dist: asgiref>=3.2; extra == 'async'\nRequires-Dist: importlib-metadata; python_version < '3.10'\n\nName: not this\n";

    fn metadata(name: &str) -> String {
        format!("Name: {name}\nVersion: 1.0\n")
    }

    #[test]
    fn distributions_and_their_edges_are_found() {
        let files = [
            ("usr/lib/python3.11/site-packages/flask-3.0.0.dist-info/METADATA", FLASK.to_owned()),
            ("usr/lib/python3.11/site-packages/werkzeug-1.0.dist-info/METADATA", metadata("Werkzeug")),
            ("usr/lib/python3.11/site-packages/colorama-1.0.egg-info/PKG-INFO", metadata("colorama")),
            ("usr/lib/python3.11/site-packages/asgiref-1.0.egg-info", metadata("asgiref")),
            ("opt/other/werkzeug-1.0.dist-info/METADATA", metadata("werkzeug").replace("1.0", "2.0")),
            (
                "opt/other/werkzeug-1.0.dist-info/direct_url.json",
                r#"{"url":"https://example.com/w.git","vcs_info":{"vcs":"git","commit_id":"0123","requested_revision":"main"}}"#.into(),
            ),
        ];
        let files: Vec<(&str, &[u8])> = files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
        let outcome = run(&Installed, &files);
        assert_eq!(
            outcome.purls(),
            [
                "Installed pkg:pypi/asgiref@1.0",
                "Installed pkg:pypi/colorama@1.0",
                "Installed pkg:pypi/flask@3.0.0",
                "Installed pkg:pypi/werkzeug@1.0",
                "Installed pkg:pypi/werkzeug@2.0?vcs_url=git%2Bhttps:%2F%2Fexample.com%2Fw.git%400123",
            ]
        );
        let flask = outcome.get("flask");
        assert_eq!(flask.depends_on.iter().collect::<Vec<_>>(), ["pkg:pypi/werkzeug@1.0"]);
        assert_eq!(flask.licence.as_deref(), Some("BSD-3-Clause"));
        assert_eq!(
            flask.locations.first().unwrap(),
            "/usr/lib/python3.11/site-packages/flask-3.0.0.dist-info/METADATA"
        );
    }

    #[test]
    fn licences_come_from_the_surest_field() {
        let of = |fields: &str| parse(&format!("Name: a\nVersion: 1\n{fields}\n")).unwrap().component.licence;
        for (fields, expected) in [
            ("License-Expression: MIT OR apache-2.0\nLicense: junk", Some("MIT OR Apache-2.0")),
            ("License: MIT License", Some("MIT")),
            ("License: BSD\nClassifier: License :: OSI Approved :: BSD License", Some("BSD")),
            ("License: BSD\nClassifier: License :: OSI Approved :: MIT License", Some("MIT")),
            (
                "License: Copyright (c) me\n        All rights\nClassifier: License :: OSI Approved :: Apache Software License",
                Some("Apache Software License"),
            ),
            ("Classifier: License :: OSI Approved", None),
            ("License: UNKNOWN", None),
            ("", None),
        ] {
            assert_eq!(of(fields).as_deref(), expected, "{fields}");
        }
    }

    #[test]
    fn what_is_no_metadata_is_warned_about() {
        let outcome = run(
            &Installed,
            &[
                ("a.dist-info/METADATA", b"\0\xff\0"),
                ("b.dist-info/METADATA", b"Name: b"),
                ("b.dist-info/direct_url.json", b"{\"url\": [[["),
            ],
        );
        assert_eq!(outcome.purls(), ["Installed pkg:pypi/b"]);
        assert_eq!(outcome.warnings.len(), 2, "{:?}", outcome.warnings);
        torture(FLASK.as_bytes(), |bytes| drop(parse(&String::from_utf8_lossy(bytes))));
        let huge = format!("Name: a\nVersion: 1\n{}", "Requires-Dist: b\nLicense: x\n".repeat(200_000));
        assert_eq!(parse(&huge).unwrap().requires.len(), MOST_DEPENDENCIES);
    }
}
