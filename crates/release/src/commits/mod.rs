//! What commits say about themselves (Conventional Commits 1.0).
//!
//! Their word is taken for what people did, never against the evidence.

mod read;

use plimsoll_model::Commit;
use serde::{Deserialize, Serialize};

use crate::level::Meaning;

pub use read::read;

/// A commit as git has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawCommit {
    /// Its name.
    pub sha: Commit,
    /// The whole message.
    pub message: String,
    /// Whether it has several parents.
    pub merge: bool,
}

/// What kind of change a commit says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `feat`.
    Feature,
    /// `fix`.
    Fix,
    /// `security`, `sec`.
    Security,
    /// `deprecate`, `deprecated`.
    Deprecation,
    /// `remove`, `removed`.
    Removal,
    /// `perf`, `refactor`, `change`, `revert`, `update`, `deps`.
    Change,
    /// `docs`, `test`, `ci`, `build`, `chore`, `style`: nothing that users notice.
    Housekeeping,
    /// No conventional commit, or one of a type that nobody else knows.
    Other,
}

/// One change that a commit tells of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitFacts {
    /// The commit.
    pub sha: Commit,
    /// Its type as written, e.g. `feat`; empty where there is none.
    #[serde(rename = "type")]
    pub type_: String,
    /// What kind of change it is.
    pub kind: Kind,
    /// The scope, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The description; of other commits the subject.
    pub description: String,
    /// What it says that it breaks. Empty: nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breaking: Vec<String>,
}

impl CommitFacts {
    /// What it says that the release means.
    pub fn level(&self) -> Meaning {
        match self.kind {
            _ if !self.breaking.is_empty() => Meaning::Break,
            Kind::Feature | Kind::Deprecation => Meaning::Addition,
            _ => Meaning::Fix,
        }
    }

    /// What it tells of: the same after a rebase, and for a commit and its squash.
    pub(crate) fn key(&self) -> [String; 3] {
        let scope = self.scope.clone().unwrap_or_default();
        [self.type_.clone(), scope, read::without_reference(&self.description)]
    }

    /// The first twelve digits and the header, to name it in a sentence.
    pub fn cited(&self) -> String {
        let scope = self.scope.as_ref().map(|scope| format!("({scope})")).unwrap_or_default();
        let mark = if self.breaking.is_empty() { "" } else { "!" };
        let header = match self.type_.as_str() {
            "" => self.description.clone(),
            type_ => format!("{type_}{scope}{mark}: {}", self.description),
        };
        format!("{} `{}`", self.sha.short(), header.replace('`', "'"))
    }
}
