//! What is known beside the files.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Layout, Needs};

/// Whose SQL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// PostgreSQL 12 or later.
    #[default]
    Postgres,
    /// SQLite 3.
    Sqlite,
}

/// One file of the directory.
#[derive(Debug, Clone)]
pub struct File {
    /// From the directory of the migrations on, with `/`.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Which migrations have run in production already.
#[derive(Debug, Clone, Default)]
pub enum Released {
    /// Each file was a release of its own, and each is judged: for a history.
    #[default]
    EachFile,
    /// These files ran; they are replayed and not judged. All others are the next
    /// release together, in which a new table is empty.
    Files(BTreeSet<String>),
}

/// What a release that runs, or may be rolled back to, uses of the schema.
#[derive(Debug, Clone)]
pub struct Declared {
    /// How to name it, e.g. its short SHA.
    pub release: String,
    /// What it uses.
    pub needs: Needs,
}

/// How to judge.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whose SQL it is.
    pub dialect: Dialect,
    /// The tool that runs the files; detected where not given.
    pub layout: Option<Layout>,
    /// What has run already.
    pub released: Released,
    /// What releases use. None at all: nothing is known of it.
    pub declared: Vec<Declared>,
    /// Backfills that are proven to be finished, by name or table.
    pub finished_backfills: BTreeSet<String>,
    /// Tables that are small enough to be read or rewritten under a lock.
    pub small_tables: BTreeSet<String>,
    /// The bounds.
    pub limits: Limits,
}

/// How much is read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of one file, in bytes.
    pub file_bytes: usize,
    /// Of all files, in bytes.
    pub total_bytes: usize,
    /// Files.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file_bytes: 64 << 20, total_bytes: 512 << 20, files: 50_000 }
    }
}
