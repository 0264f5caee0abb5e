//! Why a contract cannot be had.

use std::path::PathBuf;

use plimsoll_model::{Class, Commit, Diagnose, Page};

/// The code of [`ContractError::Absent`], which is an answer where a release may
/// have no document.
pub(crate) const DOCUMENT_ABSENT: &str = "CON-901";

/// What keeps the documents of two releases from being compared. Nothing was
/// changed.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The commit has no such document.
    #[error("commit {sha} has no {}", path.display())]
    Absent {
        /// The commit.
        sha: Commit,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The document of a commit cannot be read.
    #[error("the document of commit {sha} cannot be read from {}", path.display())]
    Unreadable {
        /// The commit.
        sha: Commit,
        /// Where it is.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Nobody who is trusted attested a snapshot.
    #[error("no snapshot of the API is attested about the image of commit {sha}")]
    NotAttested {
        /// The commit.
        sha: Commit,
    },
    /// The file of accepted breaks cannot be used.
    #[error("the accepted breaks in {} cannot be used", path.display())]
    Accepted {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl Diagnose for ContractError {
    fn class(&self) -> Class {
        Class::Usage
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Absent { .. } => DOCUMENT_ABSENT,
            Self::Unreadable { .. } | Self::File { .. } => "CON-902",
            Self::NotAttested { .. } => "CON-903",
            Self::Accepted { .. } => "CON-904",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Absent { .. } => Some("the OpenAPI document that `[contract] openapi` names".into()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Unreadable { why, .. } | Self::Accepted { why, .. } => Some(why.clone()),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Absent { sha, .. } => format!(
                "nothing was touched; `git ls-tree -r --name-only {} | grep -i openapi` finds it; name it in `[contract] openapi`",
                sha.short()
            ),
            Self::Unreadable { .. } => "nothing was touched; see what it is with `git show SHA:PATH`".into(),
            Self::File { .. } => "nothing was touched; write a file, HEAD, a branch, a tag or a full commit SHA".into(),
            Self::NotAttested { sha } => {
                format!("nothing was touched; `plimsoll verify {sha}` shows what is attested; a build with `[contract]` and `[signing]` attests it")
            }
            Self::Accepted { .. } => {
                "nothing was touched; each entry is\n[[accepted]]\nrule = \"API-001\"\npath = \"/payouts\"\nreason = \"…\"\nuntil = \"2027-06-30\"".into()
            }
        })
    }
}

/// A page for every code above.
pub const PAGES: &[Page] = &[
    Page {
        code: "CON-901",
        name: "document-absent",
        what: "The commit has no OpenAPI document at the path that `[contract] openapi` names (default `openapi.json`).",
        why: "A release whose API nobody described cannot be compared with anything.",
        how: "Name the right path in `[contract] openapi`, or take the section out where the service has no API. A \
              document that is generated has to be committed: the comparison is of commits.",
    },
    Page {
        code: "CON-902",
        name: "document-not-read",
        what: "A document, or the evidence that holds it, is there and cannot be read.",
        why: "What cannot be read is neither `no change` nor a break.",
        how: "Check the path and its permissions; `git show SHA:PATH` prints what a commit has.",
    },
    Page {
        code: "CON-903",
        name: "snapshot-not-attested",
        what: "The commit is not in this repository, and no snapshot that somebody trusted signed is attached to its image.",
        why: "Then there is nothing to compare with that could be believed.",
        how: "`git fetch` brings the commit. A build with `[contract]` and `[signing]` attaches the snapshot; \
              `plimsoll verify SHA` shows what is there.",
    },
    Page {
        code: "CON-904",
        name: "accepted-breaks",
        what: "The file of accepted breaks is not readable TOML, or an entry names no rule, nothing it is about, no reason \
               or no date.",
        why: "A break that is accepted without a reason and an end is accepted for ever.",
        how: "Entries are `[[accepted]]` with `rule` (code or name), `component` or `path` (and perhaps `method`), \
              `reason`, and `until`, the last day. `plimsoll contract diff OLD NEW` shows what to name.",
    },
];
