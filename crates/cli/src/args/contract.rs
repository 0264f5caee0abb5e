//! `plimsoll contract`

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum, ValueHint};

/// `plimsoll contract`
#[derive(Debug, Subcommand)]
pub(crate) enum Contract {
    /// Print the OpenAPI document in its canonical form, with all files it refers to
    Snapshot {
        /// A file, or a commit: HEAD, a branch, a tag, a full SHA
        #[arg(value_name = "FILE|COMMIT", default_value = "HEAD")]
        document: String,
        /// Write here instead of standard output
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        to: Option<PathBuf>,
    },
    /// What changed between two documents, and whether it breaks clients
    Diff {
        /// A file, or a commit: HEAD, a branch, a tag, a full SHA
        #[arg(value_name = "OLD")]
        old: String,
        /// The same
        #[arg(value_name = "NEW")]
        new: String,
        /// Breaks that were decided on; as `[contract] accepted` says without it
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        accepted: Option<PathBuf>,
        /// Form of the text: for a terminal, a comment, or annotations of a pull request
        #[arg(long, value_enum, value_name = "FORM", default_value_t = Form::Text)]
        form: Form,
        /// The least change that ends with exit 3
        #[arg(long, value_name = "LEVEL", default_value = "none", value_parser = ["breaking", "additive", "editorial", "none"])]
        fail_on: String,
    },
}

/// Form of a report for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For a terminal.
    Text,
    /// For a comment.
    Markdown,
    /// Workflow commands that GitHub shows at the lines.
    Github,
}
