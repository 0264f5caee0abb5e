//! .NET: `*.deps.json` beside published programs, and `packages.lock.json`.
//!
//! Sources: .NET runtime, "runtime-configuration-file.md"; NuGet, "Locking
//! dependencies". The checksums in both are over a package without its
//! signature, so they are not those of the file that a feed serves.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::lock::LockFiles;
use super::reading::{MOST_COMPONENTS, Reading, excerpt};
use crate::Component;
use crate::catalog::{Cataloger, Content, Found, Report, Unread, Want};
use crate::view::View;

/// `packages.lock.json`.
pub(crate) const LOCKS: LockFiles = LockFiles {
    name: "dotnet-lock",
    wants: &[Want::Name("packages.lock.json")],
    parse: |_, bytes| parse_lock(bytes),
};

/// Catalogs what was published with a program.
pub(crate) struct Published;

#[derive(Deserialize)]
struct Deps {
    #[serde(default)]
    targets: BTreeMap<String, BTreeMap<String, Target>>,
    #[serde(default)]
    libraries: BTreeMap<String, Library>,
}

#[derive(Deserialize)]
struct Target {
    #[serde(default)]
    dependencies: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Library {
    #[serde(default)]
    r#type: String,
}

impl Cataloger for Published {
    type Fact = Reading;

    fn name(&self) -> &'static str {
        "dotnet"
    }

    fn wants(&self) -> &'static [Want] {
        &[Want::Suffix(".deps.json")]
    }

    fn read(&self, _: &str, content: &mut Content<'_>) -> Result<Option<Reading>, Unread> {
        parse_deps(&content.bytes()?).map(Some)
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

/// Libraries are keyed `NAME/VERSION`.
fn parse_deps(bytes: &[u8]) -> Result<Reading, Unread> {
    let deps: Deps = serde_json::from_slice(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))?;
    let mut warnings = Vec::new();
    let mut rows: Vec<(Component, Vec<usize>)> = Vec::new();
    let mut by_key: HashMap<&str, usize> = HashMap::new();
    for (key, library) in deps.libraries.iter().take(MOST_COMPONENTS + 1) {
        let Some((name, version)) = key.split_once('/') else {
            warnings.push(format!("not understood: {}", excerpt(key)));
            continue;
        };
        // A pack of the runtime is the package of that name.
        let mut component =
            Component::new("nuget", name.strip_prefix("runtimepack.").unwrap_or(name), version);
        match &*library.r#type {
            "project" => drop(component.qualifiers.insert("download_url".into(), "file://.".into())),
            // An assembly without a package.
            "reference" | "referenceassembly" => continue,
            _ => {}
        }
        by_key.insert(key, rows.len());
        rows.push((component, Vec::new()));
    }
    for (key, target) in deps.targets.values().flatten() {
        let Some(&from) = by_key.get(&**key) else { continue };
        let targets = target.dependencies.iter();
        rows[from]
            .1
            .extend(targets.filter_map(|(name, version)| by_key.get(&*format!("{name}/{version}")).copied()));
    }
    let mut reading = Reading::linked(rows);
    warnings.into_iter().for_each(|warning| reading.warn(warning));
    Ok(reading)
}

#[derive(Deserialize)]
struct Lock {
    /// By framework and name.
    dependencies: BTreeMap<String, BTreeMap<String, Locked>>,
}

#[derive(Deserialize)]
struct Locked {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    resolved: String,
    #[serde(default)]
    dependencies: BTreeMap<String, IgnoredAny>,
}

fn parse_lock(bytes: &[u8]) -> Result<Reading, Unread> {
    let lock: Lock = serde_json::from_slice(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))?;
    let mut rows = Vec::new();
    for packages in lock.dependencies.values() {
        // Names are compared in lower case.
        let first = rows.len();
        let packages = || packages.iter().filter(|(_, locked)| locked.is_package());
        let by_name: HashMap<String, usize> = packages()
            .enumerate()
            .map(|(index, (name, _))| (name.to_ascii_lowercase(), first + index))
            .collect();
        for (name, locked) in packages() {
            let names = locked.dependencies.keys().map(|name| name.to_ascii_lowercase());
            let targets = names.filter_map(|name| by_name.get(&name).copied()).collect();
            rows.push((locked.component(name), targets));
        }
    }
    Ok(Reading::linked(rows))
}

impl Locked {
    fn is_package(&self) -> bool {
        self.r#type != "Project"
    }

    fn component(&self, name: &str) -> Component {
        Component::new("nuget", name, self.resolved.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::language::testing::{run, torture};

    const DEPS: &str = r#"{"runtimeTarget":{"name":".NETCoreApp,Version=v8.0/linux-x64"},
        "targets":{".NETCoreApp,Version=v8.0":{},".NETCoreApp,Version=v8.0/linux-x64":{
            "App/1.0.0":{"dependencies":{"Serilog":"3.1.1","Absent":"1"},"runtime":{"App.dll":{}}},
            "Serilog/3.1.1":{"runtime":{"lib/Serilog.dll":{"assemblyVersion":"2.0"}}}}},
        "libraries":{"App/1.0.0":{"type":"project","serviceable":false,"sha512":""},
            "Serilog/3.1.1":{"type":"package","serviceable":true,"sha512":"sha512-x"},
            "runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/8.0.1":{"type":"runtimepack"},
            "Own.Reference/1.0":{"type":"reference"}}}"#;

    const LOCK: &str = r#"{"version":1,"dependencies":{"net8.0":{
        "Serilog":{"type":"Direct","requested":"[3.1.1, )","resolved":"3.1.1","contentHash":"x","dependencies":{"system.a":"4.0.0"}},
        "System.A":{"type":"Transitive","resolved":"4.0.0"},
        "lib":{"type":"Project"}}}}"#;

    #[test]
    fn published_libraries_are_found() {
        let outcome = run(&Published, &[("app/App.deps.json", DEPS.as_bytes())]);
        assert_eq!(
            outcome.purls(),
            [
                "Installed pkg:nuget/App@1.0.0?download_url=file:%2F%2F.",
                "Installed pkg:nuget/Microsoft.NETCore.App.Runtime.linux-x64@8.0.1",
                "Installed pkg:nuget/Serilog@3.1.1",
            ]
        );
        assert_eq!(outcome.get("App").depends_on.iter().collect::<Vec<_>>(), ["pkg:nuget/Serilog@3.1.1"]);
    }

    #[test]
    fn the_lock_file_is_read() {
        let outcome = run(&LOCKS, &[("packages.lock.json", LOCK.as_bytes())]);
        assert_eq!(
            outcome.purls(),
            ["Declared pkg:nuget/Serilog@3.1.1", "Declared pkg:nuget/System.A@4.0.0"]
        );
        assert_eq!(outcome.get("Serilog").depends_on.len(), 1);
    }

    #[test]
    fn hostile_files_are_refused() {
        for text in [DEPS, LOCK] {
            torture(text.as_bytes(), |bytes| {
                drop(parse_deps(bytes));
                drop(parse_lock(bytes));
            });
        }
        let deep = "{\"targets\":".repeat(100_000);
        assert!(parse_deps(deep.as_bytes()).is_err() && parse_lock(deep.as_bytes()).is_err());
        assert_eq!(parse_deps(b"{\"libraries\":{\"a\":{}}}").unwrap().warnings, ["not understood: a"]);
    }
}
