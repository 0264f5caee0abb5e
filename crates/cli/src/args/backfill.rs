//! `plimsoll migrate backfill`

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::Events;

/// `plimsoll migrate backfill`
#[derive(Debug, Args)]
pub(crate) struct Backfill {
    /// Which, by name (repeatable); every one that is declared without any
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// How far they are, who works on them, and what they wait for; changes nothing
    #[arg(long, group = "control")]
    pub(crate) status: bool,
    /// Stop after the batch that is under way; whoever works on it waits
    #[arg(long, group = "control")]
    pub(crate) pause: bool,
    /// Let go on what was paused
    #[arg(long, group = "control")]
    pub(crate) resume: bool,
    /// Forget what is done: the next run begins with the first row
    #[arg(long, group = "control", requires = "names")]
    pub(crate) restart: bool,
    /// Look anew whether those that are finished are
    #[arg(long, group = "control")]
    pub(crate) check: bool,
    /// The migrations of this commit, branch or tag; those of the working directory without it
    #[arg(long, value_name = "SHA")]
    pub(crate) release: Option<String>,
    /// The database of this environment
    #[arg(long, value_name = "ENV")]
    pub(crate) env: Option<String>,
    /// What a batch should take, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) target_ms: u64,
    /// Rows of a batch at most
    #[arg(long, value_name = "NUMBER", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) most_rows: u64,
    /// How long a statement waits for a lock before the batch is halved
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    pub(crate) lock_timeout: String,
    /// How long a batch may run before it is halved
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(crate) statement_timeout: String,
    /// How often in a row a batch may fail
    #[arg(long, value_name = "NUMBER", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) attempts: u32,
    /// Above what a signal stops it, or `off` (repeatable): replication-bytes, replication-sec, slot-bytes,
    /// wal-bytes-per-sec, lock-waits, blocked-by-us, active-sessions
    #[arg(long = "limit", value_name = "SIGNAL=NUMBER")]
    pub(crate) limits: Vec<String>,
    /// Which vacuums of the table are waited for
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = VacuumsWaitedFor::Wraparound)]
    pub(crate) vacuums: VacuumsWaitedFor,
    /// Nothing runs while this file exists
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) pause_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) events: Events,
}

/// `--vacuums`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VacuumsWaitedFor {
    /// None
    None,
    /// Those that prevent wraparound
    Wraparound,
    /// Any
    Any,
}
