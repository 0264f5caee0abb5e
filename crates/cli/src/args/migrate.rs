//! `plimsoll migrate`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::Form;

/// `plimsoll migrate`
#[derive(Debug, Subcommand)]
pub(crate) enum Migrate {
    /// Judge migrations: locks, rewrites, and what released code still needs
    Lint(Lint),
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
}
