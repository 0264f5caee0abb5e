//! What is written down about a migration, in a table beside those that it makes.
//! The table is a format: docs/migrations.md.

use aws_lc_rs::digest::{SHA256, digest};
use plimsoll_evidence_migration_lint::{Script, ScriptStatement};
use serde::{Deserialize, Serialize};

/// The table's name.
pub const TABLE: &str = "plimsoll_migrations";
/// The format that this version writes.
pub const FORMAT: i32 = 1;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The file, from the directory of the migrations on.
    pub path: String,
    /// The version by which its tool knows it.
    pub version: String,
    /// `sha256:<64 hex>` of the way forth; line ends, a byte order mark and blank
    /// lines around it do not count.
    pub checksum: String,
    /// `expand`, `backfill`, `contract`, `unsafe`; empty where it was adopted.
    pub class: String,
    /// The commit that brought it, where it is known.
    pub release: Option<String>,
    /// `plimsoll`, or the tool from whose table it was adopted.
    pub origin: String,
    /// Who ran it.
    pub applied_by: String,
    /// The command that ran it: a random number, the same for all files of one.
    pub run: String,
    /// When it began, RFC 3339, by the database's clock.
    pub started_at: String,
    /// When it ended; nothing while it runs, or where it was interrupted.
    pub finished_at: Option<String>,
    /// From the first statement to the last, all attempts together.
    pub duration_ms: i64,
    /// How many statements there are to be run.
    pub statements: i32,
    /// How many of them are done.
    pub done: i32,
    /// `sha256:<64 hex>` of those that are done.
    pub done_checksum: Option<String>,
    /// The statement, from 1, that was begun outside of a transaction and of which it
    /// is not known whether it was done.
    pub in_doubt: Option<i32>,
    /// Why the last attempt ended, where it did not end well.
    pub failure: Option<String>,
    /// Backfills that the file declares, by name.
    pub backfills: Vec<String>,
}

impl Record {
    /// Whether all of it was run.
    pub fn finished(&self) -> bool {
        self.finished_at.is_some()
    }
}

/// The checksum of a text.
pub fn checksum(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The statements of a file that are run here: backfills are run elsewhere.
pub(crate) fn run_here(script: &Script) -> Vec<&ScriptStatement> {
    script.statements.iter().filter(|statement| statement.backfill.is_none()).collect()
}

/// The checksum of the first statements of a file.
pub(crate) fn prefix(statements: &[&ScriptStatement], count: usize) -> String {
    let mut text = String::new();
    for statement in statements.iter().take(count) {
        text.push_str(&statement.sql.replace("\r\n", "\n").replace('\r', "\n"));
        text.push('\0');
    }
    checksum(&text)
}

/// What is run together: statements in one transaction, or one that cannot be in any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) alone: bool,
}

/// The steps of a file.
pub(crate) fn steps(statements: &[&ScriptStatement]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut group = None;
    for (at, statement) in statements.iter().enumerate() {
        let alone = statement.standalone.is_some();
        match steps.last_mut() {
            Some(last) if !alone && !last.alone && group == Some(statement.transaction) => last.to = at + 1,
            _ => steps.push(Step { from: at, to: at + 1, alone }),
        }
        group = Some(statement.transaction);
    }
    steps
}
