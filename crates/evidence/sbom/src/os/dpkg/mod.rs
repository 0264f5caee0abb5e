//! Debian packages: the database of dpkg, and the single files that
//! distroless images have in its place.
//!
//! Sources: deb-control(5), deb822(5), dpkg(1); Debian Policy, chapter 7.

mod copyright;
mod status;

use std::collections::{BTreeMap, HashMap};

use crate::catalog::{Cataloger, Content, Found, Report, Unread, Want};
use crate::view::View;
use crate::{Component, Purl};
use status::Package;

/// Reads the packages that dpkg installed.
pub(crate) struct Dpkg;

/// What one file says.
#[derive(Debug)]
pub(crate) enum Fact {
    /// Installed packages, and what is wrong with others.
    Packages(Vec<Package>, Vec<String>),
    /// The licences of a package.
    Licence(Option<String>),
    /// Paths that a package owns, one a line.
    Paths(String),
}

const INFO: &str = "var/lib/dpkg/info/";
const SINGLE: &str = "var/lib/dpkg/status.d/";

impl Cataloger for Dpkg {
    type Fact = Fact;

    fn name(&self) -> &'static str {
        "dpkg"
    }

    fn wants(&self) -> &'static [Want] {
        &[
            Want::Path("var/lib/dpkg/status"),
            Want::Under { directory: SINGLE, suffix: "" },
            Want::Under { directory: INFO, suffix: ".list" },
            Want::Under { directory: "usr/share/doc/", suffix: "copyright" },
        ]
    }

    fn read(&self, path: &str, content: &mut Content<'_>) -> Result<Option<Fact>, Unread> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name == "copyright" {
            return Ok(Some(Fact::Licence(copyright::licence(&content.text()?))));
        }
        if name.ends_with(".list") {
            return Ok(Some(Fact::Paths(content.text()?)));
        }
        if name.ends_with(".md5sums") {
            // Digest, two blanks, path.
            let text = content.text()?;
            let paths = text.lines().filter_map(|line| line.split_once("  ")).map(|(_, path)| path);
            return Ok(Some(Fact::Paths(paths.collect::<Vec<_>>().join("\n"))));
        }
        if directory.starts_with("usr/share/doc") {
            return Ok(None);
        }
        let (packages, warnings) = status::packages(&content.text()?);
        Ok(Some(Fact::Packages(packages, warnings)))
    }

    fn weight(&self, fact: &Fact) -> usize {
        match fact {
            Fact::Packages(packages, _) => packages.iter().map(Package::weight).sum(),
            Fact::Licence(_) => 128,
            Fact::Paths(paths) => paths.len(),
        }
    }

    fn catalog(&self, view: &View<'_>, found: &[Found<'_, Fact>], report: &mut Report) {
        let mut files: HashMap<&str, &Fact> = HashMap::new();
        let mut packages = Vec::new();
        for file in found {
            match file.fact {
                Fact::Packages(some, warnings) => {
                    packages.extend(some.iter().map(|package| (file, package)));
                    warnings.iter().for_each(|warning| report.warn(file.path, warning.as_str()));
                }
                other => drop(files.insert(file.path, other)),
            }
        }
        let namespace = view.distribution.map_or("debian", |distribution| &distribution.id);
        let installed = Installed::new(namespace, packages.iter().map(|(_, package)| *package));
        for (file, package) in packages {
            let mut component =
                Component::new("deb", package.name.as_str(), package.version.as_str()).within(namespace);
            let mut qualify = |key: &str, value: String| component.qualifiers.insert(key.into(), value);
            qualify("arch", package.architecture.clone());
            if let Some(distribution) = view.distribution {
                qualify("distro", distribution.qualifier());
            }
            if let Some(source) = &package.source {
                qualify("upstream", source.clone());
            }
            // The directory may be a link to that of another package.
            let copyright = view.real_path(&format!("usr/share/doc/{}/copyright", package.name));
            if let Some(Fact::Licence(licence)) = copyright.and_then(|path| files.get(path.as_str())) {
                component.licence.clone_from(licence);
            }
            component.depends_on.extend(installed.resolve(&package.depends));
            file.place(&mut component);
            let number = report.add(component);
            for path in lists(package, file.path) {
                if let Some(Fact::Paths(paths)) = files.get(path.as_str()) {
                    for path in paths.lines() {
                        report.owns(number, path.trim_start_matches("./").trim_start_matches('/'));
                    }
                    break;
                }
            }
        }
    }
}

/// Where the paths of a package may be listed.
fn lists(package: &Package, status: &str) -> [String; 3] {
    [
        format!("{INFO}{}.list", package.name),
        format!("{INFO}{}:{}.list", package.name, package.architecture),
        format!("{status}.md5sums"),
    ]
}

/// Who satisfies a dependency.
struct Installed<'a> {
    namespace: &'a str,
    by_name: BTreeMap<&'a str, &'a Package>,
    /// Names that are provided by packages of another name.
    provided: BTreeMap<&'a str, &'a Package>,
}

impl<'a> Installed<'a> {
    fn new(namespace: &'a str, packages: impl Iterator<Item = &'a Package>) -> Self {
        let mut installed = Self { namespace, by_name: BTreeMap::new(), provided: BTreeMap::new() };
        for package in packages {
            installed.by_name.insert(&package.name, package);
            for name in &package.provides {
                // Several may provide it; which one is used cannot be seen.
                let first = installed.provided.entry(name).or_insert(package);
                if package.name < first.name {
                    *first = package;
                }
            }
        }
        installed
    }

    /// The package URL of the first alternative of each dependency that is
    /// there.
    fn resolve(&self, depends: &[Vec<String>]) -> Vec<String> {
        let find = |name: &String| {
            self.by_name.get(name.as_str()).or_else(|| self.provided.get(name.as_str())).copied()
        };
        depends
            .iter()
            .filter_map(|alternatives| alternatives.iter().find_map(find))
            .map(|p| self.purl(p))
            .collect()
    }

    fn purl(&self, package: &Package) -> String {
        Purl {
            kind: "deb",
            namespace: Some(self.namespace),
            name: &package.name,
            version: Some(&package.version),
            qualifiers: None,
        }
        .to_string()
    }
}
