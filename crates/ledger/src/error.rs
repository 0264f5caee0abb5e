//! What can go wrong, and what to do about it. Pages are in `pages`.

use std::path::PathBuf;

use plimsoll_model::{Class, Diagnose};

use crate::checkpoint::CheckpointError;
use crate::finding::Finding;

/// A database's own error.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// An operation on the ledger that did not come off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is of no kind this build can open.
    #[error("`{url}` is no ledger address")]
    Url {
        /// What was configured.
        url: String,
    },
    /// The database could not be opened or made.
    #[error("the ledger {} cannot be opened", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Source,
    },
    /// It was written by a newer Plimsoll.
    #[error("the ledger {} has schema version {found}", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: i64,
        /// Newest version this build knows.
        known: i64,
    },
    /// Reading failed.
    #[error("the ledger could not be read")]
    Read {
        /// Why.
        source: Source,
    },
    /// Writing failed, and nothing was written.
    #[error("nothing could be written to the ledger")]
    Write {
        /// Why.
        source: Source,
    },
    /// Writing failed, and whether it was written cannot be told.
    #[error("it is not known whether the ledger recorded `{kind}`")]
    Unknown {
        /// Kind of the first event of the batch.
        kind: &'static str,
        /// Why.
        source: Source,
    },
    /// The key file is there and of no use, or cannot be made.
    #[error("the ledger's key {} cannot be used: {why}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// There is no key, or not this ledger's.
    #[error("the ledger cannot be appended to: {why}")]
    NoKey {
        /// Why.
        why: String,
        /// The public key recorded in the ledger.
        expected: String,
        /// The public key that was given, if any.
        found: Option<String>,
    },
    /// An event is too large or cannot be serialised.
    #[error("the event `{kind}` cannot be recorded: {why}")]
    Unrecordable {
        /// Its kind.
        kind: &'static str,
        /// Why.
        why: String,
    },
    /// The idempotency key was used for something else.
    #[error("entry {seq} already records another event under the key `{key}`")]
    KeyReused {
        /// The key.
        key: String,
        /// Where.
        seq: u64,
    },
    /// Verification found tampering; the first finding.
    #[error("{0}")]
    Tampered(Box<Finding>),
    /// The entries do not end where the recorded end says; appending to them
    /// would cover that up.
    #[error("the ledger does not end where it says it ends")]
    EndMismatch {
        /// Size and hash that are recorded.
        expected: String,
        /// What the entries say.
        found: String,
    },
    /// A row has a column no Plimsoll wrote.
    #[error("entry {seq} has a malformed column `{column}`")]
    Malformed {
        /// Its position.
        seq: u64,
        /// The column.
        column: &'static str,
    },
    /// There is no such entry.
    #[error("the ledger has no entry {seq}")]
    Missing {
        /// Its position.
        seq: u64,
    },
    /// The file is damaged.
    #[error("the ledger's database is damaged")]
    Corrupt {
        /// What the database says.
        source: Source,
    },
    /// An entry holds what this version cannot read.
    #[error("entry {seq} cannot be read by this version: {why}")]
    Unreadable {
        /// Its position.
        seq: u64,
        /// Why.
        why: String,
    },
    /// An exported file is not one.
    #[error("line {line} of the export cannot be read: {why}")]
    Export {
        /// Line, from 1.
        line: u64,
        /// Why.
        why: String,
    },
    /// A checkpoint given for comparison is of no use.
    #[error("the checkpoint `{name}` cannot be compared with")]
    Checkpoint {
        /// Its file.
        name: String,
        /// Why.
        source: CheckpointError,
    },
    /// The lock went to somebody else.
    #[error("the lock of environment `{environment}` is no longer held with fence {fence}")]
    LockLost {
        /// The environment.
        environment: String,
        /// The fence that was held.
        fence: u64,
        /// The newest fence.
        newest: u64,
        /// Who holds it now, in words.
        holder: Option<String>,
    },
}

impl Diagnose for Error {
    fn class(&self) -> Class {
        match self {
            Self::Url { .. } | Self::NewerSchema { .. } | Self::Key { .. } | Self::Unrecordable { .. } => {
                Class::Usage
            }
            Self::NoKey { .. } | Self::KeyReused { .. } | Self::Export { .. } => Class::Usage,
            Self::Checkpoint { source: CheckpointError::Malformed(_), .. } => Class::Usage,
            Self::Open { .. } | Self::Read { .. } | Self::Write { .. } | Self::Unknown { .. } => {
                Class::Outside
            }
            Self::Unreadable { .. } | Self::Missing { .. } => Class::Usage,
            Self::Tampered(_)
            | Self::EndMismatch { .. }
            | Self::Malformed { .. }
            | Self::Corrupt { .. }
            | Self::Checkpoint { .. } => Class::Integrity,
            Self::LockLost { .. } => Class::Failed,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Url { .. } => "LED-001",
            Self::Open { .. } => "LED-002",
            Self::NewerSchema { .. } => "LED-003",
            Self::Read { .. } => "LED-004",
            Self::Write { .. } => "LED-005",
            Self::Unknown { .. } => "LED-006",
            Self::Key { .. } | Self::NoKey { .. } => "LED-007",
            Self::KeyReused { .. } => "LED-008",
            Self::Unrecordable { .. } => "LED-009",
            Self::Tampered(finding) => finding.code(),
            Self::EndMismatch { .. } => "LED-014",
            Self::Malformed { .. } => "LED-011",
            Self::Missing { .. } => "LED-022",
            Self::Corrupt { .. } => "LED-019",
            Self::Unreadable { .. } => "LED-020",
            Self::Export { .. } => "LED-021",
            Self::Checkpoint { .. } => "LED-016",
            Self::LockLost { .. } => "LED-030",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Url { .. } => Some("`sqlite://PATH`".into()),
            Self::NewerSchema { known, .. } => Some(format!("at most version {known}")),
            Self::NoKey { expected, .. } => Some(expected.clone()),
            Self::Tampered(finding) => finding.expected(),
            Self::EndMismatch { expected, .. } => Some(expected.clone()),
            Self::LockLost { fence, .. } => Some(format!("fence {fence}")),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::NewerSchema { found, .. } => Some(format!("version {found}")),
            Self::NoKey { found, .. } => found.clone(),
            Self::Tampered(finding) => finding.found(),
            Self::EndMismatch { found, .. } => Some(found.clone()),
            Self::LockLost { newest, holder, .. } => Some(match holder {
                Some(holder) => format!("fence {newest}, held by {holder}"),
                None => format!("fence {newest}, released"),
            }),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Url { .. } => "nothing was opened. Write `url = \"sqlite://.plimsoll/ledger.db\"` under `[ledger]`.",
                Self::Open { .. } => {
                    "nothing was changed. The directory must exist or be creatable, the file must be yours to read and write, and there must be free space."
                }
                Self::NewerSchema { .. } => "nothing was changed. Use the Plimsoll that wrote it, or a newer one.",
                Self::Read { .. } => "nothing was changed. Try again; if it stays, run `plimsoll ledger verify`.",
                Self::Write { .. } => {
                    "the ledger is as it was before. Free disk space or make the file writable, then run the command again."
                }
                Self::Unknown { .. } => {
                    "the entry may be there. Make the ledger reachable and run the command again: it looks first."
                }
                Self::Key { .. } => "nothing was changed. The file must hold an Ed25519 key in PKCS #8 PEM and be readable.",
                Self::NoKey { .. } => {
                    "nothing was recorded. Put the key file back from a backup; without it start a new ledger and keep this one to read."
                }
                Self::KeyReused { .. } => "nothing was recorded. Use another key for another event.",
                Self::Unrecordable { .. } => "nothing was recorded.",
                Self::Tampered(finding) => return Some(finding.hint()),
                Self::EndMismatch { .. } | Self::Malformed { .. } => {
                    "nothing was recorded. Run `plimsoll ledger verify`; keep the file as evidence."
                }
                Self::Corrupt { .. } => {
                    "keep the file, restore a copy, and compare it with `plimsoll ledger verify --checkpoint FILE`."
                }
                Self::Missing { .. } => "nothing was changed. `plimsoll history` lists what there is.",
                Self::Unreadable { .. } => "nothing was changed. Use the Plimsoll that wrote it, or a newer one.",
                Self::Export { .. } => "the export may have been cut short. Make it again with `plimsoll ledger export`.",
                Self::Checkpoint { .. } => {
                    "if the file really is a checkpoint of this ledger, its key or its contents were replaced."
                }
                Self::LockLost { .. } => {
                    "nothing more was changed by this command. See `plimsoll status` for who works there now."
                }
            }
            .into(),
        )
    }
}
