//! Alpine packages: the database of apk.
//!
//! Source: Alpine's "Apk spec", installed database V2: paragraphs of lines
//! that begin with one letter and a colon.

use std::collections::BTreeMap;

use super::licence;
use crate::catalog::{Cataloger, Content, Found, Report, Unread, Want};
use crate::view::View;
use crate::{Component, Purl};

/// Reads the packages that apk installed.
pub(super) struct Apk;

/// An installed package.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Package {
    name: String,
    version: String,
    architecture: String,
    licence: String,
    /// The package of whose build it is a part.
    origin: String,
    /// What it needs: packages, and `so:`, `cmd:`, `pc:` names.
    depends: Vec<String>,
    provides: Vec<String>,
    files: Vec<String>,
}

impl Cataloger for Apk {
    type Fact = (Vec<Package>, Vec<String>);

    fn name(&self) -> &'static str {
        "apk"
    }

    fn wants(&self) -> &'static [Want] {
        &[
            Want::Path("lib/apk/db/installed"),
            Want::Path("usr/lib/apk/db/installed"),
            Want::Path("var/lib/apk/db/installed"),
        ]
    }

    fn read(&self, _: &str, content: &mut Content<'_>) -> Result<Option<Self::Fact>, Unread> {
        Ok(Some(packages(&content.text()?)))
    }

    fn weight(&self, (packages, _): &Self::Fact) -> usize {
        let texts = |p: &Package| {
            let all = p.depends.iter().chain(&p.provides).chain(&p.files);
            300 + all.map(|text| 40 + text.len()).sum::<usize>()
        };
        packages.iter().map(texts).sum()
    }

    fn catalog(&self, view: &View<'_>, found: &[Found<'_, Self::Fact>], report: &mut Report) {
        let namespace = view.distribution.map_or("alpine", |distribution| &distribution.id);
        for file in found {
            let (packages, warnings) = file.fact;
            warnings.iter().for_each(|warning| report.warn(file.path, warning.as_str()));
            let providers = providers(packages);
            for package in packages {
                let mut component =
                    Component::new("apk", package.name.as_str(), package.version.as_str()).within(namespace);
                let mut qualify = |key: &str, value: String| component.qualifiers.insert(key.into(), value);
                qualify("arch", package.architecture.clone());
                if let Some(distribution) = view.distribution {
                    qualify("distro", distribution.qualifier());
                }
                if !package.origin.is_empty() && package.origin != package.name {
                    qualify("upstream", package.origin.clone());
                }
                if !package.licence.is_empty() {
                    component.licence = Some(
                        licence::expression(&package.licence).unwrap_or_else(|| package.licence.clone()),
                    );
                }
                for needed in package.depends.iter().filter_map(|name| providers.get(name.as_str())) {
                    let purl = Purl {
                        kind: "apk",
                        namespace: Some(namespace),
                        name: &needed.name,
                        version: Some(&needed.version),
                        qualifiers: None,
                    };
                    component.depends_on.insert(purl.to_string());
                }
                file.place(&mut component);
                let number = report.add(component);
                package.files.iter().for_each(|path| report.owns(number, path.as_str()));
            }
        }
    }
}

/// By its own name and by what it provides; its own name comes first.
fn providers(packages: &[Package]) -> BTreeMap<&str, &Package> {
    let mut providers = BTreeMap::new();
    for package in packages {
        for name in &package.provides {
            providers.entry(name.as_str()).or_insert(package);
        }
    }
    providers.extend(packages.iter().map(|package| (package.name.as_str(), package)));
    providers
}

fn packages(text: &str) -> (Vec<Package>, Vec<String>) {
    const SHOWN: usize = 20;
    let (mut packages, mut warnings) = (Vec::new(), Vec::new());
    let (mut package, mut directory, mut begun) = (Package::default(), String::new(), false);
    for line in text.lines().chain([""]) {
        if line.is_empty() {
            let done = std::mem::take(&mut package);
            if !done.name.is_empty() && !done.version.is_empty() {
                packages.push(done);
            } else if begun && warnings.len() < SHOWN {
                warnings.push(format!("a package `{}` has no name or no version", done.name));
            }
            begun = false;
            continue;
        }
        begun = true;
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match key {
            "P" => package.name = value.into(),
            "V" => package.version = value.into(),
            "A" => package.architecture = value.into(),
            "L" => package.licence = value.into(),
            "o" => package.origin = value.into(),
            // `!name` is a conflict.
            "D" => package.depends = names(value).filter(|name| !name.starts_with('!')).collect(),
            "p" => package.provides = names(value).collect(),
            "F" => directory = value.into(),
            "R" if directory.is_empty() => package.files.push(value.into()),
            "R" => package.files.push(format!("{directory}/{value}")),
            _ => {}
        }
    }
    (packages, warnings)
}

/// Names without the versions that are compared with.
fn names(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace().map(|word| word.split(['=', '<', '>', '~']).next().unwrap_or(word).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_become_packages() {
        let text = "C:Q1x=\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\no:musl\np:so:libc.musl-x86_64.so.1=1\nF:lib\nR:ld-musl-x86_64.so.1\n\n\
                    P:zlib\nV:1.3-r0\nA:x86_64\nL:Zlib\nD:so:libc.musl-x86_64.so.1 a>=1 !b\nF:\nR:x\n\nP:broken\n\n\n";
        let (packages, warnings) = packages(text);
        assert_eq!(packages.len(), 2);
        assert_eq!(packages[0].files, ["lib/ld-musl-x86_64.so.1"]);
        assert_eq!(packages[1].depends, ["so:libc.musl-x86_64.so.1", "a"]);
        assert_eq!(packages[1].files, ["x"]);
        let providers = providers(&packages);
        assert_eq!(providers["so:libc.musl-x86_64.so.1"].name, "musl");
        assert_eq!(warnings, ["a package `broken` has no name or no version"]);
    }
}
