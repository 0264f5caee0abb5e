//! What a report says: one finding for each rule and changed component.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Position;

/// What a change means for the clients of an API; the greatest is the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Only people notice.
    Editorial,
    /// Clients go on working and can do more.
    Additive,
    /// A client that was written against the old document may fail.
    Breaking,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Editorial => "editorial",
            Self::Additive => "additive",
            Self::Breaking => "breaking",
        })
    }
}

/// In which document a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Document {
    /// What is gone is shown where it was.
    Old,
    /// Everything else.
    New,
}

/// One place of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// JSON pointer after `#`, the file before it where it is not the first one.
    pub location: String,
    /// Which document that is in.
    pub document: Document,
    /// The file of the *new* document in which to show it: what is gone is
    /// shown at what it stood in.
    pub file: String,
    /// The line there, from 1.
    pub line: u32,
    /// The column there, from 1.
    pub column: u32,
    /// What changed there.
    pub message: String,
}

/// What one rule says about one component; or about several where the very same
/// change was made in each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The code of the rule, for `plimsoll explain`.
    pub rule: String,
    /// The name of the rule.
    pub name: String,
    /// What it means for clients.
    pub level: Level,
    /// The method of the first operation that is affected.
    pub method: Option<String>,
    /// The path of the first operation that is affected.
    pub path: Option<String>,
    /// Where; the first of `details`.
    pub location: String,
    /// What changed, in one sentence.
    pub message: String,
    /// `METHOD /path` of every operation that is affected, sorted.
    pub operations: Vec<String>,
    /// The component that changed, e.g. `#/components/schemas/User`; nothing
    /// where an operation itself changed.
    pub component: Option<String>,
    /// Further components in which the same was changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// Every place.
    pub details: Vec<Detail>,
    /// Why a break is accepted, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
}

impl Finding {
    /// Whether it counts: a break that was accepted does not.
    pub fn counts(&self) -> bool {
        self.accepted.is_none()
    }

    /// The position to show it at in the new document: what is gone is shown at
    /// what it stood in.
    pub fn position(&self) -> Option<Position> {
        self.details.first().map(|detail| Position {
            file: detail.file.clone(),
            line: detail.line,
            column: detail.column,
        })
    }
}

/// What changed between two documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The worst level that counts; nothing where nothing changed.
    pub level: Option<Level>,
    /// Breaking first; then by component.
    pub changes: Vec<Finding>,
    /// Accepted breaks whose time is over; they accept nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expired: Vec<crate::Accepted>,
    /// Accepted breaks that no finding needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unused: Vec<crate::Accepted>,
}

impl Report {
    /// How many findings of a level count.
    pub fn count(&self, level: Level) -> usize {
        self.changes.iter().filter(|finding| finding.level == level && finding.counts()).count()
    }
}
