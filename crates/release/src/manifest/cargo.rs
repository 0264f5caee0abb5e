//! `Cargo.toml`, with what a workspace gives to its members.

use plimsoll_model::Lookup;
use semver::Version;
use toml::{Table, Value};

use super::{ManifestFile, is_member, semver, toml};
use crate::facts::Stated;

fn table<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Table> {
    path.iter().try_fold(table, |table, key| table.get(*key)?.as_table())
}

/// Patterns of the member folders.
fn members(root: &Table) -> Vec<&str> {
    let members = table(root, &["workspace"]).and_then(|workspace| workspace.get("members")?.as_array());
    members.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What the root manifest states: its own package, else the workspace, else the
/// one version of its members.
pub(super) fn read(text: &str, path: &str, files: &[ManifestFile], service: &str) -> Stated {
    let stated = |version| Stated { place: path.into(), version };
    let root = match toml(text) {
        Ok(root) => root,
        Err(why) => return stated(Lookup::Invalid(why)),
    };
    if let Some(package) = table(&root, &["package"]) {
        return stated(of_package(package, &root));
    }
    let given = table(&root, &["workspace", "package"]).and_then(|package| package.get("version"));
    match given {
        Some(Value::String(version)) => stated(semver(version)),
        Some(_) => stated(Lookup::Invalid("`workspace.package.version` is no text".into())),
        None if root.contains_key("workspace") => of_members(&root, path, files, service),
        None => stated(Lookup::Invalid("it has neither `[package]` nor `[workspace]`".into())),
    }
}

/// Cargo 1.75 and later read a package without a version as 0.0.0 that is
/// never published: it states none.
fn of_package(package: &Table, root: &Table) -> Lookup<Version> {
    match package.get("version") {
        None => Lookup::Absent,
        Some(Value::String(version)) => semver(version),
        Some(Value::Table(inherited))
            if inherited.get("workspace").and_then(Value::as_bool) == Some(true) =>
        {
            let given = table(root, &["workspace", "package"]).and_then(|package| package.get("version"));
            match given.and_then(Value::as_str) {
                Some(version) => semver(version),
                None => Lookup::Invalid(
                    "`version.workspace = true`, and no `workspace.package.version` is here".into(),
                ),
            }
        }
        Some(_) => Lookup::Invalid("`package.version` is no text".into()),
    }
}

/// The member of that name; without one, what all members agree on.
fn of_members(root: &Table, path: &str, files: &[ManifestFile], service: &str) -> Stated {
    let mut found: Vec<(String, String, Lookup<Version>)> = Vec::new();
    let patterns = members(root);
    for file in files {
        let Some(folder) = file.path.strip_suffix("/Cargo.toml") else { continue };
        if !patterns.iter().any(|pattern| is_member(pattern, folder)) {
            continue;
        }
        let Some(text) = file.content.found().and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
            continue;
        };
        let Ok(member) = toml(text) else { continue };
        let Some(package) = table(&member, &["package"]) else { continue };
        let name = package.get("name").and_then(Value::as_str).unwrap_or_default();
        found.push((name.to_owned(), file.path.clone(), of_package(package, root)));
    }
    if let Some((_, place, version)) = found.iter().find(|(name, ..)| name == service) {
        return Stated { place: place.clone(), version: version.clone() };
    }
    let mut versions: Vec<&Version> = found.iter().filter_map(|(.., version)| version.found()).collect();
    versions.sort();
    versions.dedup();
    let version = match versions[..] {
        [] => Lookup::Absent,
        [one] => Lookup::Found(one.clone()),
        _ => {
            let each: Vec<String> = found
                .iter()
                .filter_map(|(name, _, version)| Some(format!("{name} {}", version.found()?)))
                .take(5)
                .collect();
            Lookup::Invalid(format!(
                "the members of the workspace have different versions ({}), and none is called `{service}`",
                each.join(", ")
            ))
        }
    };
    Stated { place: path.into(), version }
}
