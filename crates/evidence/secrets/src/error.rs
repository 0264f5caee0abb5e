//! Why a scan could not be made. No message contains bytes of what was read.

use std::io;
use std::path::PathBuf;

use plimsoll_model::{Class, Diagnose, Digest, Page};

/// Why a scan could not be made at all. What could be read only in part is
/// in the report instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image is damaged or not there.
    #[error("cannot scan {object} for credentials")]
    Image {
        /// Which part of the image.
        object: String,
        /// What is wrong with it.
        source: plimsoll_oci::Error,
    },
    /// The image configuration is not a document. What is wrong is told by
    /// position only, since a parser's message may quote a value.
    #[error(
        "cannot scan the image configuration {digest} for credentials: it is not JSON (line {line}, column {column})"
    )]
    Config {
        /// Its digest.
        digest: Digest,
        /// Line of the first mistake.
        line: usize,
        /// Column of the first mistake.
        column: usize,
    },
    /// A directory cannot be listed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was being done, an infinitive.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An allow entry that does not say what it allows, or why.
    #[error("entry {} of the secret scan's allow list cannot be used: {problem}", .entry + 1)]
    Allow {
        /// Position in the list.
        entry: usize,
        /// What is wrong with it.
        problem: String,
    },
}

impl Diagnose for Error {
    fn class(&self) -> Class {
        match self {
            Self::Image { source, .. } => source.class(),
            Self::Config { .. } => Class::Integrity,
            Self::Io { .. } => Class::Outside,
            Self::Allow { .. } => Class::Usage,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Image { source, .. } => source.code(),
            Self::Config { .. } => CONFIG.code,
            Self::Io { .. } => ACCESS.code,
            Self::Allow { .. } => ALLOW.code,
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Image { source, .. } => source.expected(),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Image { source, .. } => source.found(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Image { source, .. } => source.hint(),
            Self::Config { .. } => Some("nothing was pushed; build the image again".into()),
            Self::Io { .. } => Some("correct what the cause says and run the same command again".into()),
            Self::Allow { .. } => Some(
                "write `[secrets] allow = [{ rule = \"SEC-001\", path = \"/app/tests/**\", reason = \"…\" }]`; see `plimsoll explain SCN-003`".into(),
            ),
        }
    }
}

const ACCESS: Page = Page {
    code: "SCN-001",
    name: "scanned-tree-access",
    what: "A directory that is scanned for credentials can be listed.",
    why: "What cannot be listed cannot be called clean.",
    how: "Correct the permissions that the cause names and run the same command again.",
};

const CONFIG: Page = Page {
    code: "SCN-002",
    name: "scanned-configuration",
    what: "The image configuration is a JSON document whose texts can be scanned for credentials (BLD-6).",
    why: "Environment, labels and build history are the places where credentials end up most often.",
    how: "Build the image again. `skopeo inspect --config --raw` shows what another tool wrote.",
};

const ALLOW: Page = Page {
    code: "SCN-003",
    name: "secret-allow-entry",
    what: "Each entry under `[secrets] allow` names a rule, a path (a glob; `env NAME` and `label NAME` for the configuration) and a reason.",
    why: "An exception without a reason is a hole that nobody closes, and one for an unknown rule allows nothing.",
    how: "Name one rule of `plimsoll explain`, a path as the report shows it, and why the value may be public. `until` makes the entry end by itself.",
};

/// Pages of the errors.
pub(crate) const PAGES: [Page; 3] = [ACCESS, CONFIG, ALLOW];
