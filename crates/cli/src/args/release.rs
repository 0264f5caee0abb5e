//! `plimsoll version` and `plimsoll changelog`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// `plimsoll version`
#[derive(Debug, Subcommand)]
pub(crate) enum VersionCommand {
    /// Print the version that the evidence demands; the reasons go to standard error
    Next {
        #[command(flatten)]
        of: Release,
        /// As a pre-release of this series, e.g. rc for 1.3.0-rc.1
        #[arg(long, value_name = "NAME")]
        pre: Option<String>,
    },
    /// Whether a version says what the release contains; exit 3 when it says less
    Check {
        /// The version; what tags and manifests of the commit state without it
        #[arg(value_name = "VERSION")]
        version: Option<String>,
        #[command(flatten)]
        of: Release,
    },
}

/// Which release is meant.
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// The commit to be released: HEAD, a branch, a tag, a SHA
    #[arg(long, value_name = "COMMIT", default_value = "HEAD")]
    pub(crate) commit: String,
    /// The release before it: a tag or a commit; the newest version tag before it without this
    #[arg(long, value_name = "COMMIT")]
    pub(crate) since: Option<String>,
    /// The release before it is what runs in this environment
    #[arg(long, value_name = "ENV", conflicts_with = "since")]
    pub(crate) env: Option<String>,
    /// The name that version tags begin with, as in payouts-v1.2.3; `[service] name` without it
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// Nobody else uses the database: taking something away from it breaks nobody
    #[arg(long)]
    pub(crate) private_database: bool,
    /// OSV advisories: a file, or a folder in any of the usual layouts; `[sbom] advisories` without it
    #[arg(long, value_name = "DIR|FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) database: Option<PathBuf>,
}

/// `plimsoll changelog`
#[derive(Debug, Args)]
pub(crate) struct Changelog {
    #[command(flatten)]
    pub(crate) of: Release,
    /// The section: a version, `next`, or `unreleased`; found out without it
    #[arg(long, value_name = "VERSION")]
    pub(crate) release: Option<String>,
    /// The date of a new section, e.g. 2026-11-25; today without it
    #[arg(long, value_name = "DATE")]
    pub(crate) date: Option<String>,
    /// The changelog; CHANGELOG.md without it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// Write the file: add what is missing, keep what people wrote
    #[arg(long, conflicts_with = "check")]
    pub(crate) write: bool,
    /// Compare the file with the evidence; exit 3 when it says something else
    #[arg(long)]
    pub(crate) check: bool,
    /// Put evidence lines back that somebody altered or removed
    #[arg(long, conflicts_with = "check")]
    pub(crate) restore: bool,
    /// List commits that are no conventional commits under Other instead of Changed
    #[arg(long)]
    pub(crate) other: bool,
}
