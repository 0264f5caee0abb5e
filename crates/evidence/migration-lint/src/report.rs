//! What is reported, in the form of `migrate lint --output json`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a file does to a running system; the worst of its statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Adds; released code does not notice. Runs before the rollout.
    Expand,
    /// Changes rows that are there. Runs beside released code, in batches.
    Backfill,
    /// Takes away what older code may use. Runs when no such code is left.
    Contract,
    /// Stops readers or writers for long, breaks released code, or cannot be
    /// judged. Does not run as it is.
    Unsafe,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expand => "expand",
            Self::Backfill => "backfill",
            Self::Contract => "contract",
            Self::Unsafe => "unsafe",
        })
    }
}

/// Whether a finding stops the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A person should know it.
    Warning,
    /// It must not run as it is (exit 3).
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Error { "error" } else { "warning" })
    }
}

/// What one rule says of one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The code of the rule, for `plimsoll explain`.
    pub rule: String,
    /// The name of the rule.
    pub name: String,
    /// Whether it stops the deployment.
    pub severity: Severity,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What happens.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

/// A lock that a statement takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The table, or the index.
    pub on: String,
    /// E.g. `ACCESS EXCLUSIVE`.
    pub mode: String,
    /// Whether the table is there, and in use, before this release.
    pub in_use: bool,
}

/// What the database has to do with the rows that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// Only the catalogue changes.
    Catalogue,
    /// Every row is read.
    Scan,
    /// Every row is written again, with every index.
    Rewrite,
}

/// One statement that takes a lock which others wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What it locks.
    pub locks: Vec<Lock>,
    /// What it does with the rows.
    pub work: Work,
    /// What it really did, where it was traced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Traced>,
}

/// What a statement did when it ran on a scratch database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    /// The locks that it took on tables, views and indexes.
    pub locks: Vec<TracedLock>,
    /// Tables that it wrote again: their file changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewritten: Vec<String>,
    /// Indexes of tables that were there which it built, also again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<String>,
    /// Tables that were there which it read from end to end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scanned: Vec<String>,
    /// How long it took, in microseconds; on few rows this says little.
    pub duration_us: u64,
    /// Whether the locks were looked at from outside while it ran, since it cannot be
    /// in a transaction: a short lock may be missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sampled: bool,
    /// Why it was not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_run: Option<String>,
    /// What the database said, where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// A lock that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedLock {
    /// The table, the view or the index.
    pub on: String,
    /// E.g. `ACCESS EXCLUSIVE`.
    pub mode: String,
    /// Whether it was there before this release.
    pub in_use: bool,
    /// Whether it is an index.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub index: bool,
    /// Whether an earlier statement of the transaction took it already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub earlier: bool,
}

/// A finding that the trace refuted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// What was found without the trace.
    pub finding: Finding,
    /// What the trace showed.
    pub reason: String,
}

/// Where a report was traced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedOn {
    /// The version of the server, e.g. `15.14`.
    pub server: String,
    /// Whether rows were put in before the new migrations ran.
    pub rows: bool,
    /// A scratch database that could not be dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_behind: Option<String>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReport {
    /// Its path, as given.
    pub file: String,
    /// What it does.
    pub class: Class,
    /// By line.
    pub findings: Vec<Finding>,
    /// Statements that lock something, by line.
    pub statements: Vec<Statement>,
    /// How many statements there are.
    pub statement_count: usize,
    /// How many of them were not understood; each has a finding.
    pub not_understood: usize,
    /// Findings that the trace refuted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<Withdrawn>,
    /// Why the trace ended before the end of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untraced: Option<String>,
}

/// A directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Always `plimsoll/migrate-lint/v1`.
    pub schema: String,
    /// The tool whose rules order the files.
    pub layout: crate::Layout,
    /// The files that are not released yet, in the order in which they run.
    pub files: Vec<FileReport>,
    /// Files that the tool would not run, with the reason.
    pub ignored: Vec<Ignored>,
    /// Where it was traced, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TracedOn>,
}

/// A file that is no migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// Its path, as given.
    pub file: String,
    /// Why it does not run.
    pub reason: String,
}

impl Report {
    /// How many findings of a severity there are.
    pub fn count(&self, severity: Severity) -> usize {
        self.files
            .iter()
            .flat_map(|file| &file.findings)
            .filter(|finding| finding.severity == severity)
            .count()
    }

    /// Whether nothing stops the deployment.
    pub fn allowed(&self) -> bool {
        self.count(Severity::Error) == 0
    }
}
