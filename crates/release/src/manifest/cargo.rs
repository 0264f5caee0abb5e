//! `Cargo.toml`, with what a workspace gives to its members.

use plimsoll_model::Lookup;
use semver::Version;
use toml::{Table, Value};

use super::{ManifestFile, is_member, semver, toml};
use crate::facts::Stated;

fn table<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Table> {
    path.iter().try_fold(table, |table, key| table.get(*key)?.as_table())
}

/// What the root manifest states: its own package, else the workspace, else the
/// one version of its members. A member that is called like the service comes
/// before all of them.
pub(super) fn read(text: &str, path: &str, files: &[ManifestFile], service: &str) -> Stated {
    let stated = |version| Stated { place: path.into(), version };
    let root = match toml(text) {
        Ok(root) => root,
        Err(why) => return stated(Lookup::Invalid(why)),
    };
    let package = table(&root, &["package"]);
    let is_service = |package: &Table| package.get("name").and_then(Value::as_str) == Some(service);
    let members = if package.is_some_and(is_service) { Vec::new() } else { members(&root, files) };
    if let Some(member) = members.iter().find(|member| member.name == service) {
        return Stated { place: member.path.clone(), version: member.version.clone() };
    }
    if let Some(package) = package {
        return stated(of_package(package, &root));
    }
    let given = table(&root, &["workspace", "package"]).and_then(|package| package.get("version"));
    stated(match given {
        Some(Value::String(version)) => semver(version),
        Some(_) => Lookup::Invalid("`workspace.package.version` is no text".into()),
        None if root.contains_key("workspace") => agreed(&members, service),
        None => Lookup::Invalid("it has neither `[package]` nor `[workspace]`".into()),
    })
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

/// A package of a workspace.
struct Member {
    name: String,
    path: String,
    version: Lookup<Version>,
}

/// The packages in the folders that the workspace names.
fn members(root: &Table, files: &[ManifestFile]) -> Vec<Member> {
    let listed = table(root, &["workspace"]).and_then(|workspace| workspace.get("members")?.as_array());
    let patterns: Vec<&str> = listed.into_iter().flatten().filter_map(Value::as_str).collect();
    let of_file = |file: &ManifestFile| -> Option<Member> {
        let folder = file.path.strip_suffix("/Cargo.toml")?;
        if !patterns.iter().any(|pattern| is_member(pattern, folder)) {
            return None;
        }
        let named =
            |name: &str, version| Some(Member { name: name.into(), path: file.path.clone(), version });
        let read = file.content.found().and_then(|bytes| std::str::from_utf8(bytes).ok());
        match toml(read.unwrap_or("not readable")) {
            Ok(member) => {
                let package = table(&member, &["package"])?;
                let name = package.get("name").and_then(Value::as_str).unwrap_or_default();
                named(name, of_package(package, root))
            }
            Err(why) => named("", Lookup::Invalid(format!("{}: {why}", file.path))),
        }
    };
    files.iter().filter_map(of_file).collect()
}

/// What all members agree on.
fn agreed(members: &[Member], service: &str) -> Lookup<Version> {
    let unreadable =
        members.iter().find(|member| matches!(member.version, Lookup::Invalid(_) | Lookup::Unknown(_)));
    if let Some(member) = unreadable {
        return member.version.clone();
    }
    let mut versions: Vec<&Version> = members.iter().filter_map(|member| member.version.found()).collect();
    versions.sort();
    versions.dedup();
    match versions[..] {
        [] => Lookup::Absent,
        [one] => Lookup::Found(one.clone()),
        _ => {
            let each: Vec<String> = members
                .iter()
                .filter_map(|member| Some(format!("{} {}", member.name, member.version.found()?)))
                .take(5)
                .collect();
            Lookup::Invalid(format!(
                "the members of the workspace have different versions ({}), and none is called `{service}`",
                each.join(", ")
            ))
        }
    }
}
