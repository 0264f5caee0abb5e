//! Errors of the command line itself.

use std::path::PathBuf;

use plimsoll_model::{Class, Diagnose, Page, ParseCommitError};

/// What can be wrong before any other crate is asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// A tag, branch or shortened SHA where only a full SHA may stand (TAG-4).
    #[error("`{text}` cannot be {action}: only a full commit SHA names one image for ever")]
    NotPinned {
        /// What was given.
        text: String,
        /// `deployed`, `rolled back to`, …
        action: &'static str,
        /// Why it is no full SHA.
        #[source]
        source: ParseCommitError,
    },
    /// No page for this code.
    #[error("there is no check or error with the code `{code}`")]
    UnknownCode {
        /// What was asked for.
        code: String,
    },
    /// A file the user named cannot be read or written.
    #[error("cannot {action} {path}")]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file the user named does not hold what it should.
    #[error("{path} is not {expected}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The same, for other formats than JSON.
    #[error("{path} is not {expected}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// Why not.
        why: String,
    },
    /// An argument that does not parse.
    #[error("`{text}` is not {expected}")]
    Argument {
        /// What was given.
        text: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Something exists and would be overwritten.
    #[error("{path} exists")]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// A key would be overwritten.
    #[error("{path} exists, and a key is never overwritten")]
    KeyExists {
        /// Which.
        path: PathBuf,
    },
    /// Manifests are for environments on a cluster.
    #[error("environment `{environment}` does not run on a cluster")]
    NotACluster {
        /// Which.
        environment: String,
        /// What it runs on.
        target: String,
    },
    /// Nothing says which port the service listens on.
    #[error("which port the service listens on is not known")]
    NoPort {
        /// Those that the image exposes.
        found: Vec<u16>,
    },
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A part of the demonstration did not do what it shows.
    #[error("the demonstration stopped: {what}")]
    Demo {
        /// Which part, and what it said.
        what: String,
    },
}

impl Diagnose for CliError {
    fn class(&self) -> Class {
        match self {
            Self::NotPinned { .. } => Class::Refused,
            Self::UnknownCode { .. }
            | Self::File { .. }
            | Self::Content { .. }
            | Self::Malformed { .. }
            | Self::Argument { .. }
            | Self::KeyExists { .. }
            | Self::NotACluster { .. }
            | Self::NoPort { .. }
            | Self::Exists { .. } => Class::Usage,
            Self::Listen { .. } | Self::Demo { .. } => Class::Failed,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotPinned { .. } => "TAG-004",
            Self::UnknownCode { .. } => "CLI-001",
            Self::File { .. } => "CLI-002",
            Self::Content { .. } | Self::Malformed { .. } => "CLI-003",
            Self::Argument { .. } => "CLI-004",
            Self::Exists { .. } | Self::KeyExists { .. } => "CLI-005",
            Self::Listen { .. } => "CLI-006",
            Self::Demo { .. } => "CLI-007",
            Self::NotACluster { .. } | Self::NoPort { .. } => "CLI-008",
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Malformed { why, .. } => Some(why.clone()),
            Self::NotACluster { target, .. } => Some(format!("target = \"{target}\"")),
            Self::NoPort { found } if found.is_empty() => Some("none in `[image] ports` or its PORT".into()),
            Self::NoPort { found } => {
                Some(found.iter().map(|port| format!("{port}/tcp")).collect::<Vec<_>>().join(", "))
            }
            _ => None,
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::NotACluster { .. } => Some("target = \"kubernetes\"".into()),
            Self::NoPort { .. } => Some("one port".into()),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotPinned { text, .. } => {
                format!("nothing was touched; print the full SHA with `git rev-parse {text}`")
            }
            Self::UnknownCode { .. } => "`plimsoll explain` lists all codes".into(),
            Self::File { .. } => "nothing was touched; check the path and its permissions".into(),
            Self::Content { .. } | Self::Malformed { .. } => "nothing was touched; correct the file".into(),
            Self::Argument { expected, .. } => format!("nothing was touched; write {expected}"),
            Self::Exists { .. } => "nothing was touched; `--force` replaces it".into(),
            Self::NotACluster { .. } => {
                "nothing was written; name an environment with `target = \"kubernetes\"`, or add one to plimsoll.toml".into()
            }
            Self::NoPort { .. } => {
                "nothing was written; name it: `plimsoll init --kubernetes ENV --port 8080`, or set `[image] ports`".into()
            }
            Self::KeyExists { .. } => {
                "nothing was touched; write the pair elsewhere with `--out PREFIX`".into()
            }
            Self::Listen { address, .. } => {
                format!(
                    "nothing was started; see who listens there with `ss -ltnp 'sport = :{}'`, or use `--listen 127.0.0.1:0`",
                    address.port()
                )
            }
            Self::Demo { .. } => {
                "run it again with `plimsoll demo --keep -v` and look around in its directory".into()
            }
        })
    }
}

/// A page for every code above.
pub(crate) const PAGES: &[Page] = &[
    Page {
        code: "TAG-004",
        name: "full-sha-only",
        what: "Only the full 40-character lower-case commit SHA is accepted where something is deployed, rolled back \
               to, pushed or shown. `latest`, `main`, `v1`, a branch or a shortened SHA is refused.",
        why: "Every other name can mean another image tomorrow; a shortened SHA can match two commits.",
        how: "`git rev-parse NAME` prints the full SHA of what you mean. What runs is always pinned as \
              `repository:<sha>@sha256:<digest>`.",
    },
    Page {
        code: "CLI-001",
        name: "unknown-code",
        what: "`plimsoll explain` has no page for this code.",
        why: "A code that means nothing helps nobody; every code Plimsoll prints has a page.",
        how: "`plimsoll explain` without a code lists them all.",
    },
    Page {
        code: "CLI-002",
        name: "file-not-accessible",
        what: "A file named on the command line cannot be read or written.",
        why: "Going on without it would do something else than was asked.",
        how: "Check the path and its permissions; relative paths count from `-C DIR` if it is given.",
    },
    Page {
        code: "CLI-003",
        name: "file-content",
        what: "A file named on the command line does not hold the document it should.",
        why: "A record that cannot be read proves nothing.",
        how: "`--metadata` takes the JSON document that `plimsoll build --output json` printed, unchanged; `policy test` \
              takes TOML files of cases, and the facts that `plimsoll policy check --facts FILE` wrote.",
    },
    Page {
        code: "CLI-004",
        name: "argument",
        what: "An argument does not have the form it needs.",
        why: "Guessing what was meant is not for a tool that changes production.",
        how: "`plimsoll COMMAND --help` shows the form of each argument.",
    },
    Page {
        code: "CLI-005",
        name: "would-overwrite",
        what: "A file would be overwritten.",
        why: "What somebody wrote by hand is not thrown away without being asked.",
        how: "Look at the file; `--force` replaces it. Key files are never replaced: what an old key signed needs it.",
    },
    Page {
        code: "CLI-006",
        name: "cannot-listen",
        what: "The address to listen on is taken or may not be used.",
        why: "Two servers on one address would each get some of the requests.",
        how: "`ss -ltnp` shows who listens; `--listen 127.0.0.1:0` takes a free port and prints it.",
    },
    Page {
        code: "CLI-007",
        name: "demo-stopped",
        what: "A step of `plimsoll demo` did not do what it is there to show.",
        why: "A demonstration that goes on after a failure shows nothing.",
        how: "`plimsoll demo --keep -v` keeps the directory and shows every line; `plimsoll doctor` says what is missing.",
    },
    Page {
        code: "CLI-008",
        name: "no-manifests",
        what: "`plimsoll init --kubernetes ENV` cannot write manifests: the environment does not run on a cluster, or nothing \
               says which port the service listens on.",
        why: "Probes and Service need the port; a wrong guess is a service that never gets ready.",
        how: "Name an environment with `target = \"kubernetes\"`. The port is the only TCP port of `[image] ports`, else PORT \
              of `[image] env`; where the image comes from a Dockerfile or a layout, `--port 8080` says it.",
    },
];
