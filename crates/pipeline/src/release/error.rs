//! Why a version or a changelog cannot be had.

use std::path::PathBuf;

use plimsoll_model::{Class, Diagnose, Page};

/// What keeps a release from being named or told of.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The name of a series of pre-releases breaks the grammar.
    #[error("`{name}` cannot be the name of a pre-release")]
    Prerelease {
        /// What was given.
        name: String,
    },
    /// The changelog cannot be read.
    #[error("cannot read the changelog {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The changelog cannot be written.
    #[error("cannot write the changelog {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The evidence does not say what the next version is.
    #[error("the next version cannot be computed")]
    NoVersion {
        /// What is not known.
        why: String,
    },
}

impl Diagnose for ReleaseError {
    fn class(&self) -> Class {
        match self {
            Self::Prerelease { .. } | Self::Read { .. } => Class::Usage,
            Self::Write { .. } => Class::Failed,
            Self::NoVersion { .. } => Class::Outside,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Prerelease { .. } => "REL-001",
            Self::Read { .. } | Self::Write { .. } => "REL-002",
            Self::NoVersion { .. } => "REL-003",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Prerelease { .. } => {
                Some("letters, digits and hyphens, not digits alone: alpha, beta, rc".into())
            }
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::NoVersion { why } => Some(why.clone()),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Prerelease { .. } => "nothing was touched; write e.g. `--pre rc`".into(),
            Self::Read { .. } => "nothing was touched; name another file with `--file FILE`".into(),
            Self::Write { .. } => {
                "the file is as it was; check its folder's permissions and the space on the disk".into()
            }
            Self::NoVersion { .. } => {
                "nothing was touched; name the release: `--release VERSION`, or mend what is not known".into()
            }
        })
    }
}

/// A page for every code above.
pub const PAGES: &[Page] = &[
    Page {
        code: "REL-001",
        name: "prerelease-name",
        what: "The name of a series of pre-releases is not one that SemVer 2.0.0 allows.",
        why: "It becomes part of the version, and every tool has to read that.",
        how: "Use letters, digits and hyphens, not digits alone: `--pre alpha`, `--pre rc`.",
    },
    Page {
        code: "REL-002",
        name: "changelog-not-accessible",
        what: "The changelog cannot be read, is not UTF-8, or cannot be written.",
        why: "What cannot be read would be thrown away by writing it again.",
        how: "Check the path and its permissions; `--file FILE` names another file. It is written beside, then renamed: a \
              write that fails leaves the old one.",
    },
    Page {
        code: "REL-003",
        name: "no-version",
        what: "The changelog was asked for the next version's section, and the next version is not known.",
        why: "A section under a wrong version is worse than none.",
        how: "`plimsoll version next` says what is not known. Name the version: `plimsoll changelog --release VERSION`.",
    },
];
