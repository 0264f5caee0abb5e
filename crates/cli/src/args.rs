//! The command line, as `interface.md` promises it to scripts.

mod backfill;
mod contract;
mod migrate;
mod release;
mod serve;
mod watch;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};

pub(crate) use backfill::{Backfill, VacuumsWaitedFor};
pub(crate) use contract::{Contract, Form};
pub(crate) use migrate::{Adopt, Lint, Migrate, RunMigrations, Which};
pub(crate) use release::{Changelog, Release, VersionCommand};
pub(crate) use serve::Serve;
pub(crate) use watch::Watch;

/// One commit of a containerised service to production, and back.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 refused, 4 integrity \
                        violation, 5 something outside cannot be reached, 6 rolled back, 130 interrupted")]
pub(crate) struct Cli {
    /// Options every command takes.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Global {
    /// Work as if started in DIR
    #[arg(short = 'C', value_name = "DIR", global = true, value_hint = ValueHint::DirPath)]
    pub(crate) directory: Option<PathBuf>,
    /// A further configuration file, read over plimsoll.toml (repeatable)
    #[arg(long = "config", value_name = "FILE", global = true, value_hint = ValueHint::FilePath)]
    pub(crate) config: Vec<PathBuf>,
    /// Override one configuration key
    #[arg(long = "set", value_name = "KEY=VALUE", global = true)]
    pub(crate) set: Vec<String>,
    /// Form of the result on standard output
    #[arg(long, value_enum, default_value_t = Output::Text, global = true)]
    pub(crate) output: Output,
    /// Form of the log on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text, global = true)]
    pub(crate) log_format: LogFormat,
    /// More log lines (repeatable)
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    /// Only errors and results
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// No progress on standard error
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
    /// Colour in text meant for people
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true)]
    pub(crate) color: Color,
    /// Answer yes to every question
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
}

/// Form of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands, along the path a commit travels.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write plimsoll.toml for this repository, from what is found in it
    Init(Init),
    /// Build the image for a commit and push it
    Build(Build),
    /// Push what an earlier `build --no-push` stored
    Push(Push),
    /// Check digests, tags and architecture of an image against its record
    Verify(Verify),
    /// Decide, roll out and record a commit
    Deploy(Deploy),
    /// Go back to an image that was deployed before; never builds
    Rollback(Rollback),
    /// What runs, whether it drifted, and where one can go back to
    Status(Status),
    /// Builds, deployments and rollbacks, newest first
    History(History),
    /// All that is known about one commit
    Show(Show),
    /// p50, p95 and max of build, deploy and rollback against their targets
    Stats,
    /// What a check or error code means, why it matters, how to satisfy it
    Explain(Explain),
    /// What an image is made of: bill of materials, differences, advisories
    #[command(subcommand)]
    Sbom(Sbom),
    /// What a release changes for the clients of its API
    #[command(subcommand)]
    Contract(Contract),
    /// What migrations do to the database and to the code beside it
    #[command(subcommand)]
    Migrate(Migrate),
    /// The version that the evidence demands, and whether one says enough
    #[command(subcommand)]
    Version(VersionCommand),
    /// The changelog of a release, from evidence and commits, edited by people
    Changelog(Changelog),
    /// Sign an image
    Sign(Sign),
    /// Attest a predicate about an image
    Attest(Attest),
    /// Make a key pair to sign with
    #[command(subcommand)]
    Keys(Keys),
    /// Verify a Sigstore bundle over a file, without a project
    VerifyBundle(VerifyBundle),
    /// What was seen of both releases while they were compared
    #[command(subcommand)]
    Watch(Watch),
    /// What a deployment demands: decide, test, decide again, answer for an exception
    #[command(subcommand)]
    Policy(Policy),
    /// The tamper-evident record of everything
    #[command(subcommand)]
    Ledger(Ledger),
    /// Counters and histograms in Prometheus text form, from the ledger
    Metrics(Metrics),
    /// The configuration in force
    #[command(subcommand)]
    Config(ConfigCommand),
    /// What works here and what is missing
    Doctor,
    /// Run the embedded OCI registry alone
    Registry(Registry),
    /// Serve metrics, probes and a cluster's admission, and look for drift, until Ctrl-C
    Serve(Serve),
    /// The whole path on this machine, with nothing else installed
    Demo(Demo),
    /// Bring an environment back as its last rollout left it, e.g. after a reboot
    Up(Up),
    /// Stop an environment's replicas and its switch; `up` brings them back
    Down(Down),
    /// Print shell completions
    Completions(Completions),
    /// Write the man pages
    Man(Man),
}

/// `plimsoll init`
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Replace an existing plimsoll.toml
    #[arg(long)]
    pub(crate) force: bool,
    /// Print a systemd unit that brings an environment's switch and replicas back after a reboot
    #[arg(long, value_name = "ENV")]
    pub(crate) systemd: Option<String>,
    /// Print the first manifests of an environment on a cluster: for `kubectl apply -f -`
    #[arg(long, value_name = "ENV", conflicts_with_all = ["systemd", "force"])]
    pub(crate) kubernetes: Option<String>,
    /// The port that the service listens on, where the image's configuration does not say
    #[arg(long, value_name = "PORT", requires = "kubernetes", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// The path that answers 2xx when a pod may serve
    #[arg(long, value_name = "PATH", requires = "kubernetes")]
    pub(crate) health: Option<String>,
    /// Print the manifests of admission in a cluster; IMAGE holds the plimsoll binary
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["systemd", "kubernetes", "force"])]
    pub(crate) admission: Option<String>,
}

/// Events on standard output while work goes on.
#[derive(Debug, Clone, Args)]
pub(crate) struct Events {
    /// One JSON object per line on standard output while work goes on; the last is the result
    #[arg(long)]
    pub(crate) events: bool,
}

/// `plimsoll build`
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// The commit: HEAD, a branch or a full SHA
    #[arg(value_name = "COMMIT", default_value = "HEAD")]
    pub(crate) commit: String,
    /// Keep the image in the local store
    #[arg(long)]
    pub(crate) no_push: bool,
    /// The branch it is built for, where git cannot tell (a detached CI checkout)
    #[arg(long, value_name = "BRANCH")]
    pub(crate) branch: Option<String>,
    /// Reuse the target directory of earlier builds; environments that demand clean builds refuse the image
    #[arg(long)]
    pub(crate) reuse_target: bool,
    #[command(flatten)]
    pub(crate) events: Events,
}

/// `plimsoll push`
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// Full commit SHA
    #[arg(value_name = "SHA")]
    pub(crate) sha: String,
    #[command(flatten)]
    pub(crate) events: Events,
}

/// `plimsoll verify`
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Full commit SHA, or a reference `host/path:<sha>@sha256:…`
    #[arg(value_name = "SHA|REF")]
    pub(crate) subject: String,
    /// Build the commit again and compare manifest digests
    #[arg(long)]
    pub(crate) rebuild: bool,
    /// The build's JSON, where this machine's ledger has no record
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) metadata: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) events: Events,
}

/// What somebody answers for.
#[derive(Debug, Args)]
pub(crate) struct Approvals {
    /// Let a check that refuses pass, and answer for it: recorded with your name (repeatable)
    #[arg(long = "approve", value_name = "CODE=REASON")]
    pub(crate) approve: Vec<String>,
    /// How long that counts, e.g. 4h; as `[policy] override_for` says without it
    #[arg(long, value_name = "DURATION", requires = "approve")]
    pub(crate) approve_for: Option<String>,
}

/// `plimsoll deploy`
#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// Full commit SHA
    #[arg(value_name = "SHA")]
    pub(crate) sha: String,
    /// The environment
    #[arg(long, value_name = "ENV")]
    pub(crate) env: String,
    /// Decide and plan only
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The build's JSON, where this machine's ledger has no record
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) metadata: Option<PathBuf>,
    /// Wait this long for another deployment of the environment to end, e.g. 10m
    #[arg(long, value_name = "DURATION")]
    pub(crate) wait: Option<String>,
    /// Deploy once more what the watch took back from this environment, and answer for it
    #[arg(long, value_name = "REASON")]
    pub(crate) retry: Option<String>,
    /// Let a release take over that the watch could not judge and that is held, and answer for it
    #[arg(long, value_name = "REASON")]
    pub(crate) promote: Option<String>,
    #[command(flatten)]
    pub(crate) approvals: Approvals,
    #[command(flatten)]
    pub(crate) events: Events,
}

/// `plimsoll rollback`
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Full SHA of a commit that was deployed before
    #[arg(long, value_name = "SHA")]
    pub(crate) to: String,
    /// The environment
    #[arg(long, value_name = "ENV")]
    pub(crate) env: String,
    /// Decide and plan only
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Wait this long for another deployment of the environment to end, e.g. 10m
    #[arg(long, value_name = "DURATION")]
    pub(crate) wait: Option<String>,
    #[command(flatten)]
    pub(crate) approvals: Approvals,
    #[command(flatten)]
    pub(crate) events: Events,
}

/// `plimsoll status`
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Only this environment
    #[arg(long, value_name = "ENV")]
    pub(crate) env: Option<String>,
}

/// `plimsoll history`
#[derive(Debug, Args)]
pub(crate) struct History {
    /// Only this environment
    #[arg(long, value_name = "ENV")]
    pub(crate) env: Option<String>,
    /// How many rows
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
}

/// `plimsoll show`
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Full commit SHA
    #[arg(value_name = "SHA")]
    pub(crate) sha: String,
}

/// `plimsoll explain`
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The code, e.g. TAG-001; without one, all codes are listed
    #[arg(value_name = "CODE")]
    pub(crate) code: Option<String>,
}

/// `plimsoll sbom`
#[derive(Debug, Subcommand)]
pub(crate) enum Sbom {
    /// Print the bill of materials of an image, an archive, a layout or a directory
    Generate {
        /// A path, a full commit SHA, or `host/path@sha256:…`
        #[arg(value_name = "PATH|REF")]
        subject: String,
        /// Form of the document
        #[arg(long, value_name = "FORMAT", default_value = "cyclonedx-json", value_parser = ["cyclonedx-json", "spdx-json"])]
        format: String,
        /// Write here instead of standard output
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        to: Option<PathBuf>,
    },
    /// What changed between two: packages, and the advisories that affect them
    Diff {
        /// A document, a path, a full commit SHA, or `host/path@sha256:…`
        #[arg(value_name = "OLD")]
        old: String,
        /// The same
        #[arg(value_name = "NEW")]
        new: String,
        /// OSV advisories: a file, or a folder in any of the usual layouts
        #[arg(long, value_name = "DIR|FILE", value_hint = ValueHint::AnyPath)]
        database: Option<PathBuf>,
    },
    /// Which published advisories affect which components
    Scan {
        /// A document, a path, a full commit SHA, or `host/path@sha256:…`
        #[arg(value_name = "PATH|REF")]
        subject: String,
        /// OSV advisories: a file, or a folder in any of the usual layouts
        #[arg(long, value_name = "DIR|FILE", value_hint = ValueHint::AnyPath)]
        database: Option<PathBuf>,
        /// An OpenVEX document that says what does not count (repeatable)
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        vex: Vec<PathBuf>,
        /// Write what plimsoll.toml ignores as an OpenVEX document
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        write_vex: Option<PathBuf>,
        /// The least severity that ends with exit 3; as configured, else high
        #[arg(long, value_name = "SEVERITY", value_parser = ["critical", "high", "medium", "low", "none"])]
        fail_on: Option<String>,
    },
}

/// `plimsoll sign`
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// A full commit SHA, or `host/path@sha256:…`
    #[arg(value_name = "REF")]
    pub(crate) image: String,
    /// Sign although this key has signed it before
    #[arg(long)]
    pub(crate) force: bool,
}

/// `plimsoll attest`
#[derive(Debug, Args)]
pub(crate) struct Attest {
    /// A full commit SHA, or `host/path@sha256:…`
    #[arg(value_name = "REF")]
    pub(crate) image: String,
    /// What the predicate is: a short name as in cosign, or a URI
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: String,
    /// The predicate, JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) predicate: PathBuf,
}

/// `plimsoll keys`
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Write PREFIX.key (encrypted, as cosign's) and PREFIX.pub
    Generate {
        /// Where: the files' names without `.key` and `.pub`
        #[arg(long, value_name = "PREFIX", default_value = "cosign", value_hint = ValueHint::FilePath)]
        out: PathBuf,
        /// The kind of key
        #[arg(long, value_name = "ALGORITHM", default_value = "ecdsa-p256", value_parser = ["ecdsa-p256", "ecdsa-p384", "ed25519"])]
        algorithm: String,
        /// The password: env:NAME, file:PATH or command:CMD
        #[arg(long, value_name = "SOURCE", default_value = "env:COSIGN_PASSWORD")]
        password: String,
    },
}

/// `plimsoll verify-bundle`
#[derive(Debug, Args)]
pub(crate) struct VerifyBundle {
    /// The bundle
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) bundle: PathBuf,
    /// The subject that the certificate must have
    #[arg(long, value_name = "SUBJECT", requires = "certificate_oidc_issuer")]
    pub(crate) certificate_identity: Option<String>,
    /// The issuer that the certificate must have
    #[arg(long, value_name = "URL", requires = "certificate_identity")]
    pub(crate) certificate_oidc_issuer: Option<String>,
    /// The public key, PEM, of a bundle without a certificate
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "certificate_identity")]
    pub(crate) key: Option<PathBuf>,
    /// Sigstore's trusted root; the built-in one without it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) trusted_root: Option<PathBuf>,
    /// The built-in root of the staging instance
    #[arg(long, conflicts_with = "trusted_root")]
    pub(crate) staging: bool,
    /// The file that was signed, or `sha256:…`
    #[arg(value_name = "FILE|DIGEST")]
    pub(crate) subject: String,
}

/// `plimsoll policy`
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Decide about a commit, and do nothing else
    Check {
        /// Full commit SHA
        #[arg(value_name = "SHA")]
        sha: String,
        /// The environment
        #[arg(long, value_name = "ENV")]
        env: String,
        /// As a rollback instead of a deployment
        #[arg(long)]
        rollback: bool,
        /// Write the facts here, for `policy test`
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        facts: Option<PathBuf>,
        /// The build's JSON, where this machine's ledger has no record
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        metadata: Option<PathBuf>,
    },
    /// Decide the cases in files under the configured policy, and compare with what they expect
    Test {
        /// TOML files with cases; without one, `policy-tests/*.toml` beside plimsoll.toml
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
    /// Decide past decisions again, over the facts that the ledger kept
    Replay {
        /// The ledger entry of one decision; without it, the newest ones
        #[arg(value_name = "ENTRY")]
        entry: Option<u64>,
        /// Only this environment's
        #[arg(long, value_name = "ENV")]
        env: Option<String>,
        /// How many
        #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
        limit: u64,
        /// Under the policy that is configured now
        #[arg(long)]
        current_policy: bool,
    },
    /// Make mandatory verification soft again for a time; recorded with your name
    Soften {
        /// The environment
        #[arg(long, value_name = "ENV")]
        env: String,
        /// Why
        #[arg(long, value_name = "REASON")]
        reason: String,
        /// For how long, e.g. 24h; at most 7 days
        #[arg(long = "for", value_name = "DURATION", default_value = "24h")]
        long: String,
    },
}

/// `plimsoll ledger`
#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Find any changed, removed, reordered or truncated entry
    Verify {
        /// A checkpoint kept elsewhere that the ledger must extend
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        checkpoint: Option<PathBuf>,
    },
    /// Every entry as JSON lines, with hashes and the newest checkpoint
    Export {
        /// Write here instead of standard output
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        to: Option<PathBuf>,
    },
}

/// `plimsoll metrics`
#[derive(Debug, Args)]
pub(crate) struct Metrics {
    /// Write to this file at once, for the node exporter's textfile collector
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) textfile: Option<PathBuf>,
}

/// `plimsoll config`
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Every key with its value
    Show {
        /// And where each value came from
        #[arg(long)]
        origin: bool,
    },
}

/// `plimsoll registry`
#[derive(Debug, Args)]
pub(crate) struct Registry {
    /// Where images are kept
    #[arg(long, value_name = "DIR", default_value = ".plimsoll/registry", value_hint = ValueHint::DirPath)]
    pub(crate) root: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5000")]
    pub(crate) listen: std::net::SocketAddr,
    /// Refuse every write
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Offer no referrers API, as older registries
    #[arg(long)]
    pub(crate) no_referrers_api: bool,
}

/// `plimsoll demo`
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Keep the directory to look around in
    #[arg(long)]
    pub(crate) keep: bool,
    /// Replace replicas this way
    #[arg(long, value_name = "STRATEGY", default_value = "rolling", value_parser = ["rolling", "blue-green"])]
    pub(crate) strategy: String,
}

/// `plimsoll up`
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// The environment
    #[arg(long, value_name = "ENV")]
    pub(crate) env: String,
}

/// `plimsoll down`
#[derive(Debug, Args)]
pub(crate) struct Down {
    /// The environment
    #[arg(long, value_name = "ENV")]
    pub(crate) env: String,
}

/// `plimsoll completions`
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// `plimsoll man`
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Where to write the pages
    #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;

    const PAGE: &str = include_str!("../../../docs/reference/cli.md");

    /// What the page says under a heading, up to the next one.
    fn section(heading: &str) -> &'static str {
        let start = PAGE.find(&format!("{heading}\n")).unwrap_or_else(|| panic!("no `{heading}` in cli.md"));
        let text = &PAGE[start + heading.len()..];
        text.find("\n#").map_or(text, |end| &text[..end])
    }

    /// Every `--option` that a text names.
    fn named(text: &str) -> BTreeSet<String> {
        let name = |rest: &str| {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(rest.len());
            rest[..end].to_owned()
        };
        let word = |name: &String| name.starts_with(|c: char| c.is_ascii_lowercase());
        text.split("--").skip(1).map(name).filter(word).collect()
    }

    fn options(command: &clap::Command) -> BTreeSet<String> {
        let own = command.get_arguments().filter(|argument| !argument.is_global_set());
        let own = own.filter_map(|argument| argument.get_long().map(str::to_owned));
        own.chain(command.get_subcommands().flat_map(options)).collect()
    }

    /// docs/reference/cli.md has every command and option, and no other.
    #[test]
    fn the_reference_is_complete() {
        let program = Cli::command();
        for command in program.get_subcommands() {
            let named = named(section(&format!("### plimsoll {}", command.get_name())));
            let known = options(command);
            let missing: Vec<_> = known.difference(&named).collect();
            assert!(missing.is_empty(), "`{}` in cli.md lacks {missing:?}", command.get_name());
            let anywhere: BTreeSet<String> = program.get_subcommands().flat_map(options).collect();
            let unknown: Vec<_> = named.difference(&anywhere).collect();
            assert!(unknown.is_empty(), "`{}` in cli.md names {unknown:?}", command.get_name());
        }
        let global = program.get_arguments().filter_map(|argument| argument.get_long().map(str::to_owned));
        assert_eq!(named(section("## Common options")), global.collect());
        let commands = program.get_subcommands().count();
        assert_eq!(PAGE.matches("\n### plimsoll ").count(), commands, "commands on the page");
    }
}
