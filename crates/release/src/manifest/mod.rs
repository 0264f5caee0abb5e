//! The version that a commit gives itself: `Cargo.toml`, `package.json`,
//! `pyproject.toml`, `VERSION`.

mod cargo;
mod node;
mod plain;
mod python;

use std::collections::BTreeSet;

use plimsoll_model::Lookup;
use semver::Version;

use crate::facts::Stated;

/// Files beside the project's configuration that may state a version.
pub const PLACES: [&str; 4] = ["Cargo.toml", "package.json", "pyproject.toml", "VERSION"];

/// No manifest is read further than this many bytes.
pub const LIMIT: u64 = 1 << 20;

/// One file of the commit, by its path from the project's folder on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// `Cargo.toml`, `crates/payouts/Cargo.toml`.
    pub path: String,
    /// What is in it.
    pub content: Lookup<Vec<u8>>,
}

/// The names of all packages that the files declare: a lock file lists them
/// beside what they depend on.
pub fn names(files: &[ManifestFile]) -> BTreeSet<String> {
    let of_file = |file: &ManifestFile| -> Option<String> {
        let text = std::str::from_utf8(file.content.found()?).ok()?;
        match file.path.rsplit('/').next()? {
            "Cargo.toml" => Some(toml(text).ok()?.get("package")?.get("name")?.as_str()?.to_owned()),
            "package.json" => {
                let value: serde_json::Value = serde_json::from_str(text).ok()?;
                Some(value.get("name")?.as_str()?.to_owned())
            }
            "pyproject.toml" => {
                let root = toml(text).ok()?;
                let poetry = || root.get("tool")?.get("poetry");
                Some(root.get("project").or_else(poetry)?.get("name")?.as_str()?.to_owned())
            }
            _ => None,
        }
    };
    files.iter().filter_map(of_file).collect()
}

/// Whether a folder is meant by a pattern of a workspace's members: `crates/*`.
fn is_member(pattern: &str, folder: &str) -> bool {
    let (mut wanted, mut found) = (pattern.trim_matches('/').split('/'), folder.split('/'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some("**"), Some(_)) => return true,
            (Some(part), Some(name)) if matches(part, name) => {}
            _ => return false,
        }
    }
}

/// `*` stands for any characters; there is at most one in real patterns.
fn matches(part: &str, name: &str) -> bool {
    match part.split_once('*') {
        None => part == name,
        Some((before, after)) => {
            name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
        }
    }
}

/// What each file at the top states. Files that are absent state nothing and are
/// left out; `service` is the package that is meant where a workspace has several.
pub fn read(files: &[ManifestFile], service: &str) -> Vec<Stated> {
    let mut stated = Vec::new();
    for file in files {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        // Those further down are read with the workspace that they are members of.
        if file.content == Lookup::Absent || file.path.contains('/') {
            continue;
        }
        let version = match &file.content {
            Lookup::Found(bytes) => match std::str::from_utf8(bytes) {
                Err(_) => Lookup::Invalid("it is not UTF-8".into()),
                Ok(text) => match name {
                    "Cargo.toml" => {
                        let found = cargo::read(text, &file.path, files, service);
                        stated.push(found);
                        continue;
                    }
                    "package.json" => node::read(text),
                    "pyproject.toml" => python::read(text),
                    _ => plain::read(text),
                },
            },
            Lookup::Absent => Lookup::Absent,
            Lookup::Invalid(why) => Lookup::Invalid(why.clone()),
            Lookup::Unknown(why) => Lookup::Unknown(why.clone()),
        };
        stated.push(Stated { place: file.path.clone(), version });
    }
    stated
}

/// A version of SemVer 2.0.0, or why it is none.
fn semver(text: &str) -> Lookup<Version> {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    match text.parse() {
        Ok(version) => Lookup::Found(version),
        Err(error) => {
            Lookup::Invalid(format!("`{shown}` is no version of three numbers (SemVer 2.0.0): {error}"))
        }
    }
}

/// A TOML file, or why it is none: line and column first.
fn toml(text: &str) -> Result<toml::Table, String> {
    text.parse::<toml::Table>().map_err(|error| {
        let line =
            error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        format!("line {line}: {}", error.message())
    })
}

#[cfg(test)]
mod tests;
