//! IMAGE -> EVIDENCE: the locks that migrations really take (MIG-1). The migrations
//! run on a scratch database, which is made for that and dropped again; of each
//! statement is recorded what it locked, which tables and indexes it wrote again,
//! which it read from end to end, and how long it took. [`merge`] puts that beside
//! what the lint says without a database: where the two disagree, what was seen wins,
//! and both are shown.
//!
//! Nothing else on the server is touched, as far as that is in the hands of whoever
//! sends SQL: statements that reach beyond their database (`DROP DATABASE`, `CREATE
//! ROLE`, `ALTER SYSTEM`, `COPY … TO PROGRAM`) are named and not sent. A migration runs
//! with all rights of the URL's user, so that should be one that may create databases
//! and nothing else, or the server should be one to throw away.
//!
//! On tables without rows locks, rewriting and scanning are seen as on full ones: a
//! rewritten table has another file, and the server counts scans, not rows. How long
//! it takes, and which way a query is planned, only rows show ([`Options::rows`]).

mod error;
mod follow;
mod merge;
mod outside;
mod run;
mod scratch;
mod snapshot;

use std::time::Duration;

use plimsoll_evidence_migration_lint as lint;

pub use error::{Error, PAGES};
pub use merge::{PAGE as RULE_PAGE, merge};
pub use run::trace;

/// How to trace.
#[derive(Debug, Clone)]
pub struct Options {
    /// SQL that puts rows into the tables of the released migrations before the new
    /// ones run.
    pub rows: Option<String>,
    /// How long one statement may take.
    pub statement: Duration,
    /// How long all of it may take.
    pub whole: Duration,
    /// Whether a statement that fails is passed over; else the trace ends there.
    pub keep_going: bool,
}

impl Default for Options {
    /// No rows, a minute for a statement, a quarter of an hour for all.
    fn default() -> Self {
        Self {
            rows: None,
            statement: Duration::from_secs(60),
            whole: Duration::from_secs(15 * 60),
            keep_going: false,
        }
    }
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Where.
    pub on: lint::TracedOn,
    /// The files that are not released yet, in the order in which they ran.
    pub files: Vec<TracedFile>,
    /// The columns that are there at the end.
    pub columns: Vec<FoundColumn>,
}

/// A column of a table, as the database itself describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundColumn {
    /// Its table; `public` is left out.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Its type as `format_type` writes it, e.g. `character varying(20)`.
    pub sql_type: String,
    /// Whether it may be null.
    pub nullable: bool,
    /// Whether an INSERT may leave it out.
    pub may_be_left_out: bool,
}

/// A file that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedFile {
    /// Its path, as given.
    pub file: String,
    /// Its statements; BEGIN and COMMIT are not among them.
    pub statements: Vec<TracedStatement>,
    /// Why the trace ended before the end of the file.
    pub ended: Option<String>,
}

/// A statement that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedStatement {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What it did.
    pub traced: lint::Traced,
}
