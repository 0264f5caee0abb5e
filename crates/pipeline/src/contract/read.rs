//! Documents from files, from commits, and from what was attested.

use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use plimsoll_evidence_contract::{Contract, Limits, Loader, OneFile, Version};
use plimsoll_evidence_trust::Role;
use plimsoll_image::Source;
use plimsoll_model::{Commit, Failure, Lookup};
use serde_json::value::RawValue;

use super::{ContractError, Document};
use crate::context::Context;
use crate::evidence::{found, trust};
use crate::image::{Named, locate};

/// A file with all it refers to.
///
/// # Errors
/// It cannot be read, or is no OpenAPI document.
pub(super) fn file(path: &Path) -> Result<Document, Failure> {
    let limits = Limits::default();
    let bytes =
        bounded(path, limits.bytes).map_err(|source| ContractError::File { path: path.into(), source })?;
    let contract = Contract::load(&path.display().to_string(), &bytes, &Disk, &limits)?;
    Ok(Document { contract, sha: None, source: "file".into() })
}

/// The document of a commit.
///
/// # Errors
/// The commit has none, or it cannot be read.
pub(crate) fn at_commit(source: &Source, commit: &Commit, path: &Path) -> Result<Document, Failure> {
    let limits = Limits::default();
    let name = path.display().to_string();
    let bytes = match source.show_file(commit, &name, limits.bytes)? {
        Lookup::Found(bytes) => bytes,
        Lookup::Absent => return Err(ContractError::Absent { sha: commit.clone(), path: path.into() }.into()),
        Lookup::Invalid(why) | Lookup::Unknown(why) => {
            return Err(ContractError::Unreadable { sha: commit.clone(), path: path.into(), why }.into());
        }
    };
    let contract = Contract::load(&name, &bytes, &Tree { source, commit, most: limits.bytes }, &limits)?;
    Ok(Document { contract, sha: Some(commit.clone()), source: "git".into() })
}

/// The snapshot that was attested about the image of a commit.
///
/// # Errors
/// The image or its evidence cannot be had, nobody who is trusted attested
/// one, or it is no OpenAPI document.
pub(crate) async fn attested(context: &Context, sha: &Commit) -> Result<Document, Failure> {
    let located = locate(context, &Named::Commit(sha.clone())).await?;
    let reader = context.reader(&located.repository)?;
    let trust = trust::trust(context).await?;
    let pieces = found::pieces(
        &reader,
        &context.store()?,
        located.manifest.digest,
        trust,
        None,
        found::Reading::WhatRulesAskFor,
    )
    .await?;
    let mut verified = pieces.verified(Role::Contract);
    let Some((_, verified)) = verified.next() else {
        return Err(ContractError::NotAttested { sha: sha.clone() }.into());
    };
    let unusable =
        |why: String| ContractError::Unreadable { sha: sha.clone(), path: "its evidence".into(), why };
    let read: Predicate<'_> =
        serde_json::from_str(verified.predicate.get()).map_err(|error| unusable(error.to_string()))?;
    let contract = Contract::load(&read.path, read.document.get().as_bytes(), &OneFile, &Limits::default())?;
    Ok(Document { contract, sha: Some(sha.clone()), source: format!("attested by {}", verified.by) })
}

/// What is attested: `https://plimsoll.dev/contract/v1`.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Predicate<'a> {
    /// Where the document is in the commit.
    path: String,
    /// `3.0` or `3.1`.
    openapi: String,
    /// `info.version`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    api_version: Option<String>,
    /// The canonical form.
    #[serde(borrow)]
    document: std::borrow::Cow<'a, RawValue>,
}

/// The predicate about a document, as JSON.
pub(crate) fn predicate(contract: &Contract, path: &Path) -> Box<RawValue> {
    let snapshot = String::from_utf8(contract.snapshot()).expect("a snapshot is JSON");
    let predicate = Predicate {
        path: path.display().to_string(),
        openapi: match contract.version() {
            Version::V3_0 => "3.0",
            Version::V3_1 => "3.1",
        }
        .into(),
        api_version: contract.api_version().map(str::to_owned),
        document: std::borrow::Cow::Owned(RawValue::from_string(snapshot).expect("a snapshot is JSON")),
    };
    serde_json::value::to_raw_value(&predicate).expect("it has string keys only")
}

/// Any file that a document refers to, read from the disk.
struct Disk;

impl Loader for Disk {
    fn load(&self, path: &str) -> Lookup<Vec<u8>> {
        match bounded(Path::new(path), Limits::default().bytes) {
            Ok(bytes) => Lookup::Found(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Lookup::Absent,
            Err(error) => Lookup::Unknown(error.to_string()),
        }
    }
}

/// Files of one commit.
struct Tree<'a> {
    source: &'a Source,
    commit: &'a Commit,
    most: u64,
}

impl Loader for Tree<'_> {
    fn load(&self, path: &str) -> Lookup<Vec<u8>> {
        let Some(path) = within(Path::new(path)) else {
            return Lookup::Invalid("it is outside of the repository".into());
        };
        self.source
            .show_file(self.commit, &path.display().to_string(), self.most)
            .unwrap_or_else(|error| Lookup::Unknown(error.to_string()))
    }
}

/// The path without `.` and `..`, if it stays inside.
fn within(path: &Path) -> Option<PathBuf> {
    let mut inside = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => inside.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !inside.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(inside)
}

/// The bytes of a regular file, if there are at most `most`.
pub(crate) fn bounded(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let why = format!("it has more than {most} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_stay_in_the_repository() {
        let inside = |path: &str| within(Path::new(path)).map(|path| path.display().to_string());
        assert_eq!(inside("api/./parts/../pet.yaml").as_deref(), Some("api/pet.yaml"));
        for outside in ["../secret.yaml", "api/../../secret.yaml", "/etc/passwd"] {
            assert_eq!(inside(outside), None, "{outside}");
        }
    }
}
