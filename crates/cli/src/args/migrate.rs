//! `plimsoll migrate`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::Form;

/// `plimsoll migrate`
#[derive(Debug, Subcommand)]
pub(crate) enum Migrate {
    /// Judge migrations: locks, rewrites, and what released code still needs
    Lint(Lint),
    /// What an apply would do; changes nothing
    Plan(RunMigrations),
    /// Run what the plan allows, under a lock, each with a record
    Apply(RunMigrations),
    /// Run declared backfills in batches by key, beside the released code
    Backfill(super::Backfill),
    /// Where every migration stands, and who is at work
    Status(Which),
    /// Take over what another tool recorded, or what was run by hand
    Adopt(Adopt),
}

/// Which migrations, and what is known beside them.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The migrations of this commit, branch or tag; those of the working directory without it
    #[arg(long, value_name = "SHA")]
    pub(crate) release: Option<String>,
    /// The database of this environment, whose releases contract steps wait for
    #[arg(long, value_name = "ENV")]
    pub(crate) env: Option<String>,
    /// A backfill that is proven to be finished, by name (repeatable)
    #[arg(long = "finished", value_name = "BACKFILL")]
    pub(crate) finished: Vec<String>,
}

/// `plimsoll migrate plan` and `plimsoll migrate apply`
#[derive(Debug, Args)]
pub(crate) struct RunMigrations {
    #[command(flatten)]
    pub(crate) which: Which,
    /// A file that may run whatever its class is: a contract step, or one that the lint refuses (repeatable)
    #[arg(long = "allow", value_name = "PATH")]
    pub(crate) allow: Vec<String>,
    /// A value for one of flyway's placeholders (repeatable)
    #[arg(long = "placeholder", value_name = "NAME=VALUE")]
    pub(crate) placeholders: Vec<String>,
    /// Refuse a file that is older than an applied one
    #[arg(long)]
    pub(crate) in_order: bool,
    /// Refuse where a file was applied that is missing here
    #[arg(long)]
    pub(crate) strict: bool,
    /// Run although another tool's table is there: it is about other migrations
    #[arg(long)]
    pub(crate) beside_other_tool: bool,
    /// How long a statement waits for a lock before it gives way; as `[migrations] lock_timeout` says without it
    #[arg(long, value_name = "DURATION")]
    pub(crate) lock_timeout: Option<String>,
    /// How often a statement tries to get its lock
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub(crate) attempts: u32,
    /// How long one statement may run; as `[migrations] statement_timeout` says without it
    #[arg(long, value_name = "DURATION")]
    pub(crate) statement_timeout: Option<String>,
    /// How long another runner is waited for
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub(crate) wait: String,
}

/// `plimsoll migrate adopt`
#[derive(Debug, Args)]
pub(crate) struct Adopt {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Without another tool's table: the last file that was run by hand
    #[arg(long, value_name = "PATH")]
    pub(crate) through: Option<String>,
    /// A file that may differ from what the other tool recorded (repeatable)
    #[arg(long = "accept", value_name = "PATH")]
    pub(crate) accept: Vec<String>,
}

/// `plimsoll migrate lint`
#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// Files or folders; the folder of `[migrations] dir` without any
    #[arg(value_name = "FILES", value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,
    /// Only what is new since this commit, branch or tag; what it has is taken for released
    #[arg(long, value_name = "COMMIT")]
    pub(crate) since: Option<String>,
    /// Whose SQL it is; by `[migrations] database` without it, else PostgreSQL
    #[arg(long, value_name = "DIALECT", value_parser = ["postgres", "sqlite"])]
    pub(crate) dialect: Option<String>,
    /// The tool whose rules order the files; found out without it
    #[arg(long, value_name = "LAYOUT")]
    pub(crate) layout: Option<String>,
    /// A table small enough to be read or rewritten under a lock (repeatable)
    #[arg(long = "small", value_name = "TABLE")]
    pub(crate) small: Vec<String>,
    /// Form of the text: for a terminal, a comment, or annotations of a pull request
    #[arg(long, value_enum, value_name = "FORM", default_value_t = Form::Text)]
    pub(crate) form: Form,
    /// A backfill that is proven to be finished, by name or table (repeatable)
    #[arg(long = "finished", value_name = "BACKFILL")]
    pub(crate) finished: Vec<String>,
    /// Run them on a scratch database of this PostgreSQL server, too, and show the locks really taken:
    /// postgres://…, env:NAME, file:PATH
    #[arg(long, value_name = "URL")]
    pub(crate) trace: Option<String>,
    /// SQL that puts rows in before the new migrations are traced
    #[arg(long, value_name = "FILE", requires = "trace", value_hint = ValueHint::FilePath)]
    pub(crate) trace_rows: Option<PathBuf>,
}
