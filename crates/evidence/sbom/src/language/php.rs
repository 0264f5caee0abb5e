//! PHP: `vendor/composer/installed.json` and `composer.lock`.
//!
//! Source: Composer, "The composer.json schema" and its JSON repository. The
//! same rows are in both files; several licences are alternatives there.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::licence;
use super::lock::LockFiles;
use super::reading::{MOST_COMPONENTS, Reading};
use crate::catalog::{Cataloger, Content, Found, Report, Unread, Want};
use crate::view::View;
use crate::{Component, Hash};

/// `composer.lock`.
pub(crate) const LOCKS: LockFiles = LockFiles {
    name: "php-lock",
    wants: &[Want::Name("composer.lock")],
    parse: |_, bytes| {
        let lock: Lock = serde_json::from_slice(bytes)?;
        Ok(read(lock.packages.into_iter().chain(lock.packages_dev)))
    },
};

/// Catalogs what Composer installed.
pub(crate) struct Installed;

#[derive(Deserialize)]
struct Lock {
    packages: Vec<Package>,
    #[serde(default, rename = "packages-dev")]
    packages_dev: Vec<Package>,
}

/// Composer 2 wraps the list, Composer 1 does not.
#[derive(Deserialize)]
#[serde(untagged)]
enum Listed {
    Wrapped { packages: Vec<Package> },
    Plain(Vec<Package>),
}

#[derive(Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    version: String,
    source: Option<Place>,
    dist: Option<Place>,
    #[serde(default)]
    require: Names,
    #[serde(default)]
    license: Licences,
}

#[derive(Deserialize)]
struct Place {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    reference: Option<String>,
    #[serde(default)]
    shasum: Option<String>,
}

/// An empty mapping is written as an empty list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    Mapping(BTreeMap<String, IgnoredAny>),
    Other(IgnoredAny),
}

impl Default for Names {
    fn default() -> Self {
        Self::Other(IgnoredAny)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Licences {
    Several(Vec<String>),
    One(String),
    Other(IgnoredAny),
}

impl Default for Licences {
    fn default() -> Self {
        Self::Other(IgnoredAny)
    }
}

impl Cataloger for Installed {
    type Fact = Reading;

    fn name(&self) -> &'static str {
        "php"
    }

    fn wants(&self) -> &'static [Want] {
        &[Want::InDirectory { suffix: "composer", name: "installed.json" }]
    }

    fn read(&self, _: &str, content: &mut Content<'_>) -> Result<Option<Reading>, Unread> {
        let listed: Listed = serde_json::from_slice(&content.bytes()?)?;
        let (Listed::Wrapped { packages } | Listed::Plain(packages)) = listed;
        Ok(Some(read(packages)))
    }

    fn catalog(&self, _: &View<'_>, found: &[Found<'_, Reading>], report: &mut Report) {
        for file in found {
            for component in &file.fact.components {
                let mut component = component.clone();
                file.place(&mut component);
                report.add(component);
            }
            super::lock::warn(file, &file.fact.warnings, report);
        }
    }
}

fn read(packages: impl IntoIterator<Item = Package>) -> Reading {
    // One more than may be read, so that the reading says so.
    let packages: Vec<Package> = packages.into_iter().take(MOST_COMPONENTS + 1).collect();
    let components: Vec<Component> = packages.iter().map(Package::component).collect();
    // Names are compared in lower case.
    let by_name: HashMap<String, usize> = packages
        .iter()
        .enumerate()
        .map(|(index, package)| (package.name.to_ascii_lowercase(), index))
        .collect();
    let targets = |package: Package| match package.require {
        Names::Mapping(names) => {
            names.keys().filter_map(|name| by_name.get(&name.to_ascii_lowercase()).copied()).collect()
        }
        Names::Other(_) => Vec::new(),
    };
    Reading::linked(components.into_iter().zip(packages.into_iter().map(targets)).collect())
}

impl Package {
    fn component(&self) -> Component {
        let mut component = match self.name.split_once('/') {
            Some((vendor, name)) => Component::new("composer", name, self.version.as_str()).within(vendor),
            None => Component::new("composer", self.name.as_str(), self.version.as_str()),
        };
        component.licence = match &self.license {
            Licences::Several(texts) => licence::several(texts.iter().map(String::as_str), true),
            Licences::One(text) => licence::declared(text),
            Licences::Other(_) => None,
        };
        if let Some(dist) = &self.dist {
            component.hashes.extend(dist.shasum.as_deref().and_then(|hex| Hash::new("SHA-1", hex)));
            if dist.r#type == "path" {
                component.qualifiers.insert("download_url".into(), "file://.".into());
            }
        } else if let Some(Place { r#type, url, reference, .. }) = &self.source
            && r#type == "git"
        {
            // Without an archive it came from its repository.
            let commit = reference.as_ref().map(|commit| format!("@{commit}")).unwrap_or_default();
            component.qualifiers.insert("vcs_url".into(), format!("git+{url}{commit}"));
        }
        component
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::language::testing::{run, torture};

    const PACKAGES: &str = r#"[
        {"name":"acme/App","version":"v1.2.0","license":["MIT","GPL-2.0"],"require":{"php":">=8","psr/log":"^3"},
         "dist":{"type":"zip","url":"u","reference":"01","shasum":"000102030405060708090a0b0c0d0e0f10111213"}},
        {"name":"psr/log","version":"3.0.0","license":"MIT","require":[],"dist":{"type":"zip","shasum":""}},
        {"name":"acme/forked","version":"dev-main","source":{"type":"git","url":"https://example.com/f.git","reference":"01"}},
        {"name":"acme/local","version":"1.0","dist":{"type":"path","url":"../local","shasum":null,"reference":null}}]"#;

    #[test]
    fn both_files_have_the_same_rows() {
        let lock = format!(r#"{{"packages":{PACKAGES},"packages-dev":[]}}"#);
        let new = format!(r#"{{"packages":{PACKAGES},"dev":true}}"#);
        let expected = |scope: &str| {
            [
                "acme/app@v1.2.0",
                "acme/forked@dev-main?vcs_url=git%2Bhttps:%2F%2Fexample.com%2Ff.git%4001",
                "acme/local@1.0?download_url=file:%2F%2F.",
                "psr/log@3.0.0",
            ]
            .map(|rest| format!("{scope} pkg:composer/{rest}"))
        };
        assert_eq!(run(&LOCKS, &[("composer.lock", lock.as_bytes())]).purls(), expected("Declared"));
        for text in [&new, PACKAGES] {
            let outcome = run(&Installed, &[("app/vendor/composer/installed.json", text.as_bytes())]);
            assert_eq!(outcome.purls(), expected("Installed"));
            let app = outcome.get("App");
            assert_eq!(app.licence.as_deref(), Some("MIT OR GPL-2.0-only"));
            assert_eq!((app.hashes.len(), app.depends_on.len()), (1, 1));
            assert!(outcome.warnings.is_empty());
        }
    }

    #[test]
    fn hostile_files_are_refused() {
        let outcome = run(&Installed, &[("composer/installed.json", b"{\"packages\": 1}")]);
        assert_eq!(outcome.warnings.len(), 1);
        torture(PACKAGES.as_bytes(), |bytes| drop(serde_json::from_slice::<Listed>(bytes).map(|_| ())));
        assert!(serde_json::from_slice::<Listed>("[".repeat(1 << 20).as_bytes()).is_err());
        let many = vec![r#"{"name":"a/b"}"#; MOST_COMPONENTS + 10].join(",");
        let lock = format!("{{\"packages\":[{many}]}}");
        let reading = (LOCKS.parse)("composer.lock", lock.as_bytes()).unwrap();
        assert_eq!((reading.components.len(), reading.warnings.len()), (MOST_COMPONENTS, 1));
    }
}
