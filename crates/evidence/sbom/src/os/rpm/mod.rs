//! RPM packages: the three databases that rpm has had.
//!
//! Each of them is a store of package headers by number; only how it keeps
//! them differs. Nothing here writes, and no library of rpm is used.
//!
//! Sources: rpm's manual, "RPM V4 Package format" and "RPM tags".

mod bdb;
mod header;
mod ndb;
mod sqlite;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::licence;
use crate::catalog::{Cataloger, Content, Found, Report, Unread, Want};
use crate::view::View;
use crate::{Component, Purl};
use header::Package;

/// Reads the packages that rpm installed.
pub(crate) struct Rpm;

/// What one database says.
#[derive(Debug, Default)]
pub(crate) struct Database {
    packages: Vec<Package>,
    /// What of it could not be read.
    warnings: Vec<String>,
    /// Headers that were taken, damaged ones included.
    headers: usize,
    weight: usize,
}

/// Headers of one database; distributions have some thousands of packages.
const HEADERS: usize = 100_000;
/// Bytes that are kept of one database; a desktop's needs some 50 MB.
const KEPT: usize = 96 << 20;

impl Database {
    /// Takes the header of a package. `false`: no more of them are taken.
    fn take(&mut self, blob: &[u8]) -> bool {
        match header::package(blob) {
            Ok(package) => {
                self.weight += package.as_ref().map_or(0, Package::weight);
                self.packages.extend(package);
            }
            Err(why) => self.warn(&format!("the header of a package is damaged: {}", why.reason())),
        }
        self.go_on()
    }

    /// A header could not be read. `false`: no more of them are taken.
    fn miss(&mut self, what: &str) -> bool {
        self.warn(what);
        self.go_on()
    }

    fn go_on(&mut self) -> bool {
        self.headers += 1;
        let full = self.headers >= HEADERS || self.weight > KEPT;
        if full {
            self.warnings.push("there are more packages than are read".into());
        }
        !full
    }

    /// Notes damage; after some of it more says nothing.
    fn warn(&mut self, what: &str) {
        const SHOWN: usize = 20;
        if self.warnings.len() < SHOWN {
            self.warnings.push(what.to_owned());
        }
    }
}

impl Cataloger for Rpm {
    type Fact = Database;

    fn name(&self) -> &'static str {
        "rpm"
    }

    fn wants(&self) -> &'static [Want] {
        // What is found elsewhere is the database of another root.
        const WANTS: &[Want] = &[
            Want::Path("var/lib/rpm/Packages"),
            Want::Path("var/lib/rpm/Packages.db"),
            Want::Path("var/lib/rpm/rpmdb.sqlite"),
            Want::Path("var/lib/rpm/rpmdb.sqlite-wal"),
            Want::Path("usr/lib/sysimage/rpm/Packages"),
            Want::Path("usr/lib/sysimage/rpm/Packages.db"),
            Want::Path("usr/lib/sysimage/rpm/rpmdb.sqlite"),
            Want::Path("usr/lib/sysimage/rpm/rpmdb.sqlite-wal"),
            Want::Path("usr/share/rpm/Packages"),
            Want::Path("usr/share/rpm/Packages.db"),
            Want::Path("usr/share/rpm/rpmdb.sqlite"),
        ];
        WANTS
    }

    fn read(&self, path: &str, content: &mut Content<'_>) -> Result<Option<Database>, Unread> {
        if content.size() == 0 {
            return Ok(None);
        }
        if path.ends_with("-wal") {
            return Err("changes that were not yet written into rpmdb.sqlite are not read".into());
        }
        let start = content.slice(0, content.size().min(16))?;
        if start.starts_with(sqlite::MAGIC) {
            sqlite::read(content).map(Some)
        } else if start.starts_with(ndb::MAGIC) {
            ndb::read(content).map(Some)
        } else {
            bdb::read(content).map(Some)
        }
    }

    fn weight(&self, database: &Database) -> usize {
        database.weight
    }

    fn catalog(&self, view: &View<'_>, found: &[Found<'_, Database>], report: &mut Report) {
        let namespace = view.distribution.map_or("", |distribution| vendor(&distribution.id));
        for file in found {
            file.fact.warnings.iter().for_each(|warning| report.warn(file.path, warning.as_str()));
            let packages = &file.fact.packages;
            let providers = providers(packages);
            let owners = owners(packages);
            for package in packages {
                let mut component =
                    Component::new("rpm", package.name.as_str(), package.full_version()).within(namespace);
                let mut qualify = |key: &str, value: Option<String>| {
                    component.qualifiers.extend(value.map(|value| (key.to_owned(), value)));
                };
                qualify("arch", Some(package.architecture.clone()).filter(|text| !text.is_empty()));
                qualify("distro", view.distribution.map(|distribution| distribution.qualifier()));
                qualify("epoch", package.epoch.map(|epoch| epoch.to_string()));
                qualify("upstream", Some(package.source.clone()).filter(|text| !text.is_empty()));
                if !package.licence.is_empty() {
                    component.licence = Some(
                        licence::expression(&package.licence).unwrap_or_else(|| package.licence.clone()),
                    );
                }
                let provider = |name: Cow<'_, str>| providers.get(&*name).or_else(|| owners.get(&*name));
                for needed in package.requires().filter_map(provider) {
                    let version = needed.full_version();
                    let purl = Purl {
                        kind: "rpm",
                        namespace: Some(namespace),
                        name: &needed.name,
                        version: Some(&version),
                        qualifiers: None,
                    };
                    component.depends_on.insert(purl.to_string());
                }
                file.place(&mut component);
                let number = report.add(component);
                package.files().for_each(|path| report.owns(number, path.trim_start_matches('/')));
            }
        }
    }
}

/// The namespace of package URLs. openSUSE's editions are one vendor.
fn vendor(id: &str) -> &str {
    if id.starts_with("opensuse") { "opensuse" } else { id }
}

/// By its own name and by what it provides; its own name comes first, then the
/// first package in the order of names.
fn providers(packages: &[Package]) -> BTreeMap<Cow<'_, str>, &Package> {
    let mut sorted: Vec<&Package> = packages.iter().collect();
    sorted.sort_by_cached_key(|package| (package.name.clone(), package.full_version()));
    let required: BTreeSet<Cow<'_, str>> = packages.iter().flat_map(Package::requires).collect();
    let mut providers = BTreeMap::new();
    for package in &sorted {
        for name in package.provides().filter(|name| required.contains(name)) {
            providers.entry(name).or_insert(*package);
        }
    }
    providers.extend(sorted.into_iter().map(|package| (Cow::Borrowed(package.name.as_str()), package)));
    providers
}

/// Owners of the files that others require by path.
fn owners(packages: &[Package]) -> BTreeMap<String, &Package> {
    let required = packages.iter().flat_map(Package::requires);
    let required: BTreeSet<Cow<'_, str>> = required.filter(|name| name.starts_with('/')).collect();
    let files = packages.iter().flat_map(|package| package.files().map(move |path| (path, package)));
    files.filter(|(path, _)| required.contains(path.as_str())).collect()
}

#[cfg(test)]
mod tests;
