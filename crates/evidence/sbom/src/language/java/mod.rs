//! Java: jars, wars and ears, and the archives within them.
//!
//! Who an archive is, it may say in several places, the surest first: the
//! `pom.properties` that Maven puts into it, its `pom.xml`, its manifest, its
//! name. A group is taken only from the first three; one that is guessed from
//! the name of a package would match the wrong advisories.

mod archive;
mod gradle;
mod manifest;
mod pom;
mod zip;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use gradle::LOCKS;

use crate::Component;
use crate::catalog::{Cataloger, Content, Found, Report, Unread, Want};
use crate::view::View;

use super::lock::{file_name, warn};

/// Catalogs Java archives.
pub(crate) struct Java;

/// What is kept of one file.
#[derive(Debug, Default)]
pub(crate) struct Fact {
    packages: Vec<Package>,
    warnings: Vec<String>,
}

#[derive(Debug)]
struct Package {
    component: Component,
    /// The way from the file to the archive: empty, or `!/lib/inner.jar`.
    within: String,
    /// Groups and artifacts that its `pom.xml` asks for.
    requires: Vec<(String, String)>,
}

impl Cataloger for Java {
    type Fact = Fact;

    fn name(&self) -> &'static str {
        "java"
    }

    fn wants(&self) -> &'static [Want] {
        &[
            Want::Suffix(".ear"),
            Want::Suffix(".hpi"),
            Want::Suffix(".jar"),
            Want::Suffix(".jpi"),
            Want::Suffix(".sar"),
            Want::Suffix(".war"),
        ]
    }

    fn read(&self, path: &str, content: &mut Content<'_>) -> Result<Option<Fact>, Unread> {
        let (size, nesting) = (content.size(), content.limits().nesting);
        archive::read(content, size, file_name(path), nesting).map(Some)
    }

    fn catalog(&self, _: &View<'_>, found: &[Found<'_, Fact>], report: &mut Report) {
        // By group and artifact: the package URL, if there is one version.
        let mut known: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
        for package in found.iter().flat_map(|file| &file.fact.packages) {
            let component = &package.component;
            if let Some(group) = &component.namespace {
                known.entry((group, &component.name)).or_default().insert(component.base_purl());
            }
        }
        for file in found {
            for package in &file.fact.packages {
                let mut component = package.component.clone();
                for (group, artifact) in &package.requires {
                    let purls = known.get(&(&**group, &**artifact)).filter(|purls| purls.len() == 1);
                    component.depends_on.extend(purls.into_iter().flatten().cloned());
                }
                file.place(&mut component);
                component.locations =
                    component.locations.iter().map(|path| format!("{path}{}", package.within)).collect();
                report.add(component);
            }
            warn(file, &file.fact.warnings, report);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::zip::tests::{Stored, archive};
    use super::*;
    use crate::language::testing::run;

    #[test]
    fn archives_within_archives_and_their_edges() {
        let pom = b"<project><parent><groupId>org.acme</groupId><version>2.0</version></parent><artifactId>inner</artifactId>\
            <licenses><license><name>Apache License, Version 2.0</name></license></licenses>\
            <dependencies><dependency><groupId>org.acme</groupId><artifactId>other</artifactId></dependency></dependencies></project>";
        let inner = archive(&[("META-INF/maven/org.acme/inner/pom.xml", pom, Stored::No)]);
        let other = archive(&[(
            "META-INF/MANIFEST.MF",
            b"Implementation-Vendor-Id: org.acme\nImplementation-Version: 9\n",
            Stored::No,
        )]);
        let outer = archive(&[
            (
                "META-INF/maven/com.acme/app/pom.properties",
                b"groupId=com.acme\nartifactId=app\nversion=1.0\n",
                Stored::No,
            ),
            ("BOOT-INF/lib/inner-2.0.jar", &inner, Stored::Yes),
            ("BOOT-INF/lib/other-3.1.jar", &other, Stored::No),
        ]);
        let outcome = run(&Java, &[("srv/app-1.0.jar", &outer)]);
        assert_eq!(
            outcome.purls(),
            [
                "Installed pkg:maven/com.acme/app@1.0",
                "Installed pkg:maven/org.acme/inner@2.0",
                "Installed pkg:maven/org.acme/other@3.1",
            ]
        );
        let inner = outcome.get("inner");
        assert_eq!(inner.licence.as_deref(), Some("Apache-2.0"));
        assert_eq!(
            inner.locations.iter().collect::<Vec<_>>(),
            ["/srv/app-1.0.jar!/BOOT-INF/lib/inner-2.0.jar"]
        );
        assert_eq!(inner.depends_on.iter().collect::<Vec<_>>(), ["pkg:maven/org.acme/other@3.1"]);
        assert_eq!(outcome.get("app").depends_on.len(), 2, "an archive depends on those within it");
        assert!(outcome.components.iter().all(|c| c.hashes.len() == 1));
        assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);
    }

    #[test]
    fn what_is_no_archive_is_warned_about() {
        let outcome = run(&Java, &[("a.jar", b"no zip")]);
        assert_eq!(outcome.warnings, ["/a.jar: java: it is no zip archive"]);
    }
}
