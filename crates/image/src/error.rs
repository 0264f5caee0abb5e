//! Everything that can go wrong between a commit and its image.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_model::{Class, Diagnose};

/// An error of a build. Nothing has been published when one is returned.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    // The repository and the checkout.
    #[error("`{}` is not in a git repository", dir.display())]
    NotARepository { dir: PathBuf },
    #[error("git does not trust the repository at `{}`: it belongs to another user", dir.display())]
    ForeignRepository { dir: PathBuf },
    #[error("no commit `{rev}` in this repository")]
    UnknownCommit { rev: String },
    #[error("`{rev}` is a shortened commit SHA, which is not accepted here")]
    ShortSha { rev: String },
    #[error("`{rev}` is written in upper case")]
    UpperCaseSha { rev: String },
    #[error("git is needed and could not be started")]
    GitMissing { source: io::Error },
    #[error("git failed to {operation}: {stderr}")]
    Git { operation: String, stderr: String },
    #[error("submodule `{}` cannot be checked out: {reason}", path.display())]
    Submodule { path: PathBuf, reason: String },
    #[error("`{}` is a Git LFS pointer, not the file itself", path.display())]
    LfsPointer { path: PathBuf },
    #[error("the commit has the path `{}`, which cannot be checked out safely", path.display())]
    UnsafePath { path: PathBuf },
    #[error("object {object} of `{}` is not in this repository", path.display())]
    MissingObject { path: PathBuf, object: String },
    #[error("the repository returned other content for `{}` than the commit names", path.display())]
    CorruptObject { path: PathBuf, expected: String, found: String },
    #[error("could not {operation} `{}`", path.display())]
    Io { operation: &'static str, path: PathBuf, source: io::Error },

    // The build command.
    #[error("the build command {ended}")]
    CommandFailed { command: String, ended: String, tail: Vec<String> },
    #[error("the build command did not end within {} and was stopped", seconds(*limit))]
    CommandTimeout { command: String, limit: Duration, tail: Vec<String> },
    #[error("the build was interrupted")]
    Interrupted,
    #[error("`{name}` in {place} is not a usable environment variable: {reason}")]
    BadVariable { name: String, place: &'static str, reason: &'static str },

    // The files of the image.
    #[error("`{from}`, which is to be copied into the image, does not exist after the build")]
    MissingFile { from: String },
    #[error("the pattern `{from}` matches nothing")]
    EmptyGlob { from: String },
    #[error("`{from}` is not a usable pattern: {reason}")]
    BadGlob { from: String, reason: String },
    #[error("`{from}` leads out of the checkout")]
    LeavesCheckout { from: String, by: String },
    #[error("`{}` is a {kind}, which cannot be copied into an image", path.display())]
    SpecialFile { path: PathBuf, kind: &'static str },
    #[error("`{}` cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("`{}` changed while it was read", path.display())]
    Changed { path: PathBuf },
    #[error("`{destination}` is written twice")]
    SamePath { destination: String, first: String, second: String },
    #[error("`{destination}` is not a usable path in an image: {reason}")]
    BadDestination { destination: String, reason: &'static str },
    #[error("`{value}` is not a usable {what}")]
    BadValue { what: &'static str, value: String, expected: &'static str },
    #[error("the pattern `{from}` matches more than one {what}")]
    ManyMatches { from: String, what: &'static str, found: Vec<String> },

    // The base and the finished image.
    #[error("the base image {digest} is not in the local store")]
    BaseMissing { digest: plimsoll_model::Digest },
    #[error("the base image cannot be used")]
    BaseUnusable { source: plimsoll_oci::Error },
    #[error("the image cannot be written to the local store")]
    Store { source: plimsoll_oci::Error },
    #[error("`{}` cannot be imported", path.display())]
    Import { path: PathBuf, source: plimsoll_oci::Error },

    // Other builders.
    #[error("a Dockerfile is to be built, and there is neither a container engine nor buildah")]
    NoBuilder { tried: Vec<String> },
    #[error("{builder} failed to build `{dockerfile}`: {message}")]
    DockerfileFailed { builder: &'static str, dockerfile: String, message: String, tail: Vec<String> },
    #[error("the container engine failed to {operation}")]
    Engine { operation: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("`{file}` has a line that cannot be understood: {line}")]
    BadIgnoreFile { file: String, line: String },

    // Rebuilding.
    #[error("building commit {commit} again gives another image: {difference}")]
    NotReproducible {
        commit: plimsoll_model::Commit,
        expected: plimsoll_model::Digest,
        found: plimsoll_model::Digest,
        difference: String,
    },
}

fn seconds(limit: Duration) -> String {
    match limit.as_secs() {
        0 => format!("{} ms", limit.as_millis()),
        whole if whole % 60 == 0 => format!("{} min", whole / 60),
        whole => format!("{whole} s"),
    }
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { operation, path: path.into(), source }
    }

    pub(crate) fn bad_value(what: &'static str, value: &str, expected: &'static str) -> Self {
        Self::BadValue { what, value: value.chars().take(200).collect(), expected }
    }

    /// The last lines that a failed build command or builder wrote.
    pub fn tail(&self) -> &[String] {
        match self {
            Self::CommandFailed { tail, .. }
            | Self::CommandTimeout { tail, .. }
            | Self::DockerfileFailed { tail, .. } => tail,
            _ => &[],
        }
    }
}

const UNCHANGED: &str = "Nothing was published.";

impl Diagnose for Error {
    fn class(&self) -> Class {
        match self {
            Self::NotARepository { .. }
            | Self::ForeignRepository { .. }
            | Self::UnknownCommit { .. }
            | Self::ShortSha { .. }
            | Self::UpperCaseSha { .. }
            | Self::GitMissing { .. }
            | Self::Submodule { .. }
            | Self::LfsPointer { .. }
            | Self::UnsafePath { .. }
            | Self::BadVariable { .. }
            | Self::MissingFile { .. }
            | Self::EmptyGlob { .. }
            | Self::BadGlob { .. }
            | Self::LeavesCheckout { .. }
            | Self::SpecialFile { .. }
            | Self::SamePath { .. }
            | Self::BadDestination { .. }
            | Self::BadValue { .. }
            | Self::ManyMatches { .. }
            | Self::NoBuilder { .. }
            | Self::BadIgnoreFile { .. } => Class::Usage,
            Self::Git { .. }
            | Self::MissingObject { .. }
            | Self::Io { .. }
            | Self::CommandFailed { .. }
            | Self::CommandTimeout { .. }
            | Self::Unreadable { .. }
            | Self::Changed { .. }
            | Self::BaseMissing { .. }
            | Self::DockerfileFailed { .. } => Class::Failed,
            Self::Interrupted => Class::Interrupted,
            Self::CorruptObject { .. } | Self::NotReproducible { .. } => Class::Integrity,
            Self::Engine { .. } => Class::Outside,
            Self::BaseUnusable { source } | Self::Store { source } | Self::Import { source, .. } => {
                source.class()
            }
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotARepository { .. } => "BLD-010",
            Self::UnknownCommit { .. } => "BLD-011",
            Self::ShortSha { .. } | Self::UpperCaseSha { .. } => "BLD-012",
            Self::ForeignRepository { .. } => "BLD-013",
            Self::GitMissing { .. } | Self::Git { .. } => "BLD-014",
            Self::Submodule { .. } => "BLD-015",
            Self::LfsPointer { .. } => "BLD-016",
            Self::UnsafePath { .. } => "BLD-017",
            Self::MissingObject { .. } | Self::CorruptObject { .. } => "BLD-018",
            Self::Io { .. } => "BLD-019",
            Self::CommandFailed { .. } => "BLD-020",
            Self::CommandTimeout { .. } => "BLD-021",
            Self::Interrupted => "BLD-022",
            Self::BadVariable { .. } => "BLD-023",
            Self::MissingFile { .. } => "BLD-030",
            Self::EmptyGlob { .. } | Self::BadGlob { .. } | Self::ManyMatches { .. } => "BLD-031",
            Self::LeavesCheckout { .. } => "BLD-032",
            Self::SpecialFile { .. } => "BLD-033",
            Self::SamePath { .. } => "BLD-034",
            Self::Unreadable { .. } | Self::Changed { .. } => "BLD-035",
            Self::BadDestination { .. } => "BLD-036",
            Self::BadValue { .. } => "BLD-037",
            Self::BaseMissing { .. } | Self::BaseUnusable { .. } => "BLD-040",
            Self::Store { .. } => "BLD-041",
            Self::Import { .. } => "BLD-042",
            Self::NoBuilder { .. } => "BLD-050",
            Self::DockerfileFailed { .. } | Self::BadIgnoreFile { .. } => "BLD-051",
            Self::Engine { .. } => "BLD-052",
            Self::NotReproducible { .. } => "BLD-060",
        }
    }

    fn expected(&self) -> Option<String> {
        Some(match self {
            Self::ShortSha { .. } => "the full 40 characters, a branch, a tag or HEAD".into(),
            Self::UpperCaseSha { .. } => "40 lower-case hexadecimal digits".into(),
            Self::CorruptObject { expected, .. } => format!("object {expected}"),
            Self::SamePath { first, .. } => format!("one source only: `{first}`"),
            Self::BadValue { expected, .. } => (*expected).into(),
            Self::ManyMatches { what, .. } => format!("one {what}"),
            Self::NotReproducible { expected, .. } => expected.to_string(),
            Self::BaseUnusable { source } | Self::Store { source } | Self::Import { source, .. } => {
                return source.expected();
            }
            _ => return None,
        })
    }

    fn found(&self) -> Option<String> {
        Some(match self {
            Self::CorruptObject { found, .. } => format!("object {found}"),
            Self::SamePath { second, .. } => format!("also `{second}`"),
            Self::LeavesCheckout { by, .. } => by.clone(),
            Self::ManyMatches { found, .. } => found.join(", "),
            Self::NoBuilder { tried } => tried.join("; "),
            Self::NotReproducible { found, .. } => found.to_string(),
            Self::BaseUnusable { source } | Self::Store { source } | Self::Import { source, .. } => {
                return source.found();
            }
            _ => return None,
        })
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NotARepository { .. } => "run this inside of a git repository, or name one with `-C DIR`".into(),
            Self::ForeignRepository { dir } => {
                format!("if you trust it: git config --global --add safe.directory {}", dir.display())
            }
            Self::UnknownCommit { .. } => {
                "look at `git log`; if the commit is on the remote only, run `git fetch`".into()
            }
            Self::ShortSha { rev } => format!("`git rev-parse {rev}` prints the full SHA"),
            Self::UpperCaseSha { rev } => format!("write {}", rev.to_lowercase()),
            Self::GitMissing { .. } => "install git and see that it is in PATH".into(),
            Self::Submodule { path, .. } => {
                format!("git submodule update --init --recursive -- {}", path.display())
            }
            Self::LfsPointer { .. } => {
                "an image with pointers in place of files would be broken; commit the file itself, or fetch it in \
                 build.command"
                    .into()
            }
            Self::MissingObject { .. } => "the clone is partial; run `git fetch --refetch --no-filter`".into(),
            Self::CorruptObject { .. } => format!("{UNCHANGED} Run `git fsck`, and clone the repository again"),
            Self::CommandFailed { .. } => {
                format!("{UNCHANGED} The command ran in a clean checkout: files that are not committed are missing there")
            }
            Self::CommandTimeout { .. } => format!("{UNCHANGED} Raise build.timeout, or look at the last lines for what hangs"),
            Self::Interrupted => format!("{UNCHANGED} Run the build again"),
            Self::MissingFile { .. } => {
                "image.copy.from is relative to the top of the checkout; see what build.command writes".into()
            }
            Self::EmptyGlob { .. } => "the pattern is matched in the checkout after build.command".into(),
            Self::LeavesCheckout { .. } => "copy only what the commit and its build command made".into(),
            Self::SamePath { .. } => "let only one image.copy write this path".into(),
            Self::Unreadable { .. } | Self::Changed { .. } => {
                "let build.command end before its files are copied: does it leave a process behind?".into()
            }
            Self::BaseMissing { .. } => "the base is fetched before the build; run the build again".into(),
            Self::NoBuilder { .. } => {
                "start Docker or Podman (DOCKER_HOST names its socket), install buildah, or use [image]".into()
            }
            Self::DockerfileFailed { .. } => format!("{UNCHANGED} The lines above are the builder's own"),
            Self::NotReproducible { .. } => {
                "something in the build depends on time, place or order; `plimsoll explain BLD-060` lists what".into()
            }
            Self::BaseUnusable { source } | Self::Store { source } | Self::Import { source, .. } => {
                return source.hint();
            }
            _ => UNCHANGED.into(),
        };
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::PAGES;

    /// Every code that stands in this file has a page, and the other way round.
    #[test]
    fn every_code_has_a_page() {
        let here = include_str!("error.rs");
        let codes: BTreeSet<&str> = here
            .match_indices("\"BLD-")
            .map(|(at, _)| &here[at + 1..at + 8])
            .filter(|code| code[4..].bytes().all(|byte| byte.is_ascii_digit()))
            .collect();
        let pages: BTreeSet<&str> = PAGES.iter().map(|page| page.code).collect();
        assert_eq!(pages.len(), PAGES.len(), "a page twice");
        assert_eq!(codes, pages);
    }
}
