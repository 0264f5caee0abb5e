//! What can go wrong between this client and a registry, told so that a person
//! knows what failed, whether anything was changed, and what to type.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use plimsoll_model::{Class, Diagnose, Digest, Lookup, Repository};

/// What was being done, where. Part of every error that concerns a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The repository.
    pub repository: Arc<Repository>,
    /// The operation as a phrase that follows "could not".
    pub operation: Box<str>,
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "could not {} in {}", self.operation, self.repository)
    }
}

/// What a failed push had changed before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// Nothing.
    Nothing,
    /// Perhaps blobs, which no tag leads to: nothing that could be deployed.
    Blobs,
    /// The short tag, which nothing is deployed by; the full one is as it was.
    ShortTag,
}

impl Changed {
    fn sentence(self) -> &'static str {
        match self {
            Self::Nothing => "nothing was pushed",
            Self::Blobs => "no tag was written; blobs that were uploaded stay without effect",
            Self::ShortTag => {
                "the short tag was written, the full one was not, so nothing new can be deployed"
            }
        }
    }
}

/// A failure of the registry client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke, or nothing came for too long; after retries.
    #[error("{at}: {} did not answer{}", at.repository.host(), tries(*attempts))]
    Unreachable {
        /// What was being done.
        at: At,
        /// How often it was tried.
        attempts: u32,
        /// What happened last.
        source: Cause,
    },
    /// TLS: the registry could not prove who it is.
    #[error("{at}: {} could not prove its identity", at.repository.host())]
    Untrusted {
        /// What was being done.
        at: At,
        /// What TLS says.
        source: Cause,
    },
    /// What answered is no registry, or breaks the protocol.
    #[error("{at}: the answer is not one that a registry gives")]
    Nonsense {
        /// What was being done.
        at: At,
        /// What came instead.
        found: String,
    },
    /// 401 or 403, with whatever credentials there were.
    #[error("{at}: {} refuses access ({status})", at.repository.host())]
    Denied {
        /// What was being done.
        at: At,
        /// 401 or 403.
        status: StatusCode,
        /// Whether credentials were shown.
        with_credentials: bool,
        /// What the registry or its token service says.
        says: Option<String>,
    },
    /// 429 or 5xx, still, after retries.
    #[error("{at}: {} is busy or broken ({status}){}", at.repository.host(), tries(*attempts))]
    Busy {
        /// What was being done.
        at: At,
        /// The last status.
        status: StatusCode,
        /// How often it was tried.
        attempts: u32,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
        /// What the registry says.
        says: Option<String>,
    },
    /// Another refusal: quota, immutable tag, unsupported upload.
    #[error("{at}: {} refused it ({status})", at.repository.host())]
    Refused {
        /// What was being done.
        at: At,
        /// The status.
        status: StatusCode,
        /// What the registry says.
        says: String,
    },
    /// A redirect, upload location or token realm that must not be followed.
    #[error("{at}: {} sent it somewhere it must not go", at.repository.host())]
    Misdirected {
        /// What was being done.
        at: At,
        /// Where to, and why not.
        found: String,
    },
    /// A credential file exists and cannot be used.
    #[error("the credentials in {} cannot be used", path.display())]
    CredentialFile {
        /// The file.
        path: PathBuf,
        /// Why not; never its content.
        reason: String,
    },
    /// A credential helper failed.
    #[error("the credential helper `{program}` failed")]
    CredentialHelper {
        /// Its program name.
        program: String,
        /// How; never what it wrote.
        reason: String,
    },
    /// An option that cannot be used: a CA file, a header.
    #[error("the registry option {option} cannot be used")]
    Options {
        /// Which.
        option: String,
        /// Why not.
        reason: String,
    },
    /// What was to be fetched does not exist there.
    #[error("{at}: it does not exist there")]
    Absent {
        /// What was being done.
        at: At,
    },
    /// Bytes are not what their digest, size or media type says (DIG-3).
    #[error("{at}: what the registry sent is not what it should be")]
    Content {
        /// What was being done.
        at: At,
        /// What should have come.
        expected: String,
        /// What came.
        found: String,
    },
    /// A descriptor claims more bytes than are read here; nothing was fetched.
    #[error("{at}: it claims to be longer than what is read")]
    TooLong {
        /// What was being done.
        at: At,
        /// The most that is read, in bytes.
        limit: u64,
        /// What it claims, in bytes.
        found: u64,
    },
    /// A document that is to be written would be larger than registries take.
    #[error("{at}: it would be larger than registries accept")]
    TooLarge {
        /// What was being done.
        at: At,
        /// The most that they accept, in bytes.
        limit: u64,
        /// What it would have, in bytes.
        found: u64,
    },
    /// What was attached is in the registry, but not (or not lastingly) in the
    /// list that leads to it.
    #[error("{at}: the registry has it but does not list it")]
    Unlisted {
        /// What was being done.
        at: At,
        /// What should be listed.
        expected: String,
        /// What was seen instead.
        found: String,
    },
    /// A tag exists with another digest (TAG-3).
    #[error("tag {tag} in {repository} already has another digest")]
    TagTaken {
        /// The repository.
        repository: Arc<Repository>,
        /// Full or short tag.
        tag: String,
        /// The digest that was to be published.
        expected: Digest,
        /// The digest the tag has.
        found: Digest,
        /// What this push had changed.
        changed: Changed,
    },
    /// A tag exists and what it names is no manifest that could be compared (TAG-3).
    #[error("tag {tag} in {repository} already exists and is broken")]
    TagBroken {
        /// The repository.
        repository: Arc<Repository>,
        /// Full or short tag.
        tag: String,
        /// What is wrong with it.
        found: String,
        /// What this push had changed.
        changed: Changed,
    },
    /// After the push the full tag is not the digest that was computed before (DIG-1).
    #[error("tag {tag} in {repository} is not what was just pushed")]
    PushMismatch {
        /// The repository.
        repository: Arc<Repository>,
        /// The full tag.
        tag: String,
        /// The digest computed before the push.
        expected: Digest,
        /// What the registry gives.
        found: String,
    },
    /// After the push the short tag is not the same as the full one (TAG-2).
    #[error("tags {tag} and {short} in {repository} are not the same image")]
    Parity {
        /// The repository.
        repository: Arc<Repository>,
        /// The full tag.
        tag: String,
        /// The short tag.
        short: String,
        /// The digest of the full tag.
        expected: Digest,
        /// What the short tag gives.
        found: String,
    },
    /// What is to be pushed is not in the local store as it should be, or what
    /// was pulled cannot be stored.
    #[error("{at}: the local image store failed")]
    Store {
        /// What was being done.
        at: At,
        /// What failed.
        source: Box<plimsoll_oci::Error>,
    },
    /// The manifest's media type or shape is none that can be transferred.
    #[error("{at}: it is not an image manifest")]
    NotAnImage {
        /// What was being done.
        at: At,
        /// What it is.
        source: Box<plimsoll_oci::Error>,
    },
}

/// What lies beneath an error.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

fn tries(attempts: u32) -> String {
    if attempts > 1 { format!(" after {attempts} tries") } else { String::new() }
}

impl Diagnose for Error {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::Nonsense { .. }
            | Self::Denied { .. }
            | Self::Busy { .. }
            | Self::Misdirected { .. }
            | Self::TooLong { .. }
            | Self::CredentialHelper { .. } => Class::Outside,
            Self::CredentialFile { .. } | Self::Options { .. } => Class::Usage,
            Self::Refused { .. } | Self::Absent { .. } | Self::TooLarge { .. } | Self::Unlisted { .. } => {
                Class::Failed
            }
            Self::Content { .. }
            | Self::TagTaken { .. }
            | Self::TagBroken { .. }
            | Self::PushMismatch { .. }
            | Self::Parity { .. } => Class::Integrity,
            Self::Store { source, .. } | Self::NotAnImage { source, .. } => source.class(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "REG-001",
            Self::Nonsense { .. } => "REG-002",
            Self::Denied { .. } => "REG-003",
            Self::Busy { .. } => "REG-004",
            Self::Refused { .. } => "REG-005",
            Self::Misdirected { .. } => "REG-006",
            Self::Untrusted { .. } => "REG-007",
            Self::CredentialFile { .. } | Self::CredentialHelper { .. } => "REG-008",
            Self::Options { .. } => "REG-009",
            Self::Absent { .. } => "REG-010",
            Self::TooLong { .. } => "REG-011",
            Self::Unlisted { .. } => "REG-012",
            Self::TooLarge { .. } => "REG-013",
            Self::Content { .. } => "DIG-003",
            Self::TagTaken { .. } | Self::TagBroken { .. } => "TAG-003",
            Self::PushMismatch { .. } => "DIG-001",
            Self::Parity { .. } => "TAG-005",
            Self::Store { source, .. } | Self::NotAnImage { source, .. } => source.code(),
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Content { expected, .. } | Self::Unlisted { expected, .. } => Some(expected.clone()),
            Self::TooLong { limit, .. } | Self::TooLarge { limit, .. } => {
                Some(format!("at most {limit} bytes"))
            }
            Self::TagTaken { expected, .. }
            | Self::PushMismatch { expected, .. }
            | Self::Parity { expected, .. } => Some(expected.to_string()),
            Self::Store { source, .. } | Self::NotAnImage { source, .. } => source.expected(),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Nonsense { found, .. }
            | Self::Misdirected { found, .. }
            | Self::Content { found, .. }
            | Self::Unlisted { found, .. }
            | Self::TagBroken { found, .. }
            | Self::PushMismatch { found, .. }
            | Self::Parity { found, .. } => Some(found.clone()),
            Self::TagTaken { found, .. } => Some(found.to_string()),
            Self::TooLong { found, .. } | Self::TooLarge { found, .. } => Some(format!("{found} bytes")),
            Self::Denied { says, .. } | Self::Busy { says, .. } => says.clone(),
            Self::Refused { says, .. } => Some(says.clone()),
            Self::CredentialFile { reason, .. }
            | Self::CredentialHelper { reason, .. }
            | Self::Options { reason, .. } => Some(reason.clone()),
            Self::Store { source, .. } | Self::NotAnImage { source, .. } => source.found(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { at, .. } => format!(
                "no existing tag was changed; check that {} can be reached from here, then run the same command again",
                at.repository.host()
            ),
            Self::Untrusted { at, .. } => format!(
                "nothing was sent; if {} uses a certificate authority of your own, add its PEM file to the CA files",
                at.repository.host()
            ),
            Self::Nonsense { at, .. } => format!(
                "no existing tag was changed; is {} a registry, or does a proxy or login page answer in its place?",
                at.repository.host()
            ),
            Self::Denied { at, with_credentials, .. } => {
                let host = at.repository.host();
                if *with_credentials {
                    format!(
                        "no tag was changed; the credentials for {host} do not suffice: `docker login {host}` again, or set PLIMSOLL_REGISTRY_USERNAME and PLIMSOLL_REGISTRY_PASSWORD"
                    )
                } else {
                    format!(
                        "no tag was changed; no credentials for {host} were found: `docker login {host}`, or set PLIMSOLL_REGISTRY_USERNAME and PLIMSOLL_REGISTRY_PASSWORD"
                    )
                }
            }
            Self::Busy { retry_after, .. } => match retry_after {
                Some(wait) => format!(
                    "no existing tag was changed; the registry asks to wait {} s, then run the same command again",
                    wait.as_secs()
                ),
                None => "no existing tag was changed; run the same command again later".into(),
            },
            Self::Refused { .. } => {
                "no existing tag was changed; the registry's reason is above; what was uploaded is not uploaded again".into()
            }
            Self::Misdirected { .. } => {
                "nothing was sent there; the registry's external URL is probably misconfigured".into()
            }
            Self::CredentialFile { path, .. } => {
                format!("nothing was changed; repair or remove {}, or log in again", path.display())
            }
            Self::CredentialHelper { program, .. } => {
                format!("nothing was changed; try `echo HOST | {program} get`")
            }
            Self::Options { .. } => "nothing was changed; correct the option".into(),
            Self::Absent { .. } => {
                "nothing was changed; check repository and digest, or push it with `plimsoll push SHA`".into()
            }
            Self::TooLong { .. } => {
                "nothing was fetched; see what it is with `oras manifest fetch`, and delete it if nobody needs it".into()
            }
            Self::TooLarge { .. } => {
                "the tag is as it was; remove attachments that nobody needs, or attach less in one".into()
            }
            Self::Unlisted { .. } => {
                "nothing that was attached before is lost; run the same command again, which continues where this one ended".into()
            }
            Self::Content { .. } => {
                "the bytes were discarded; the registry, or something before it, changes or truncates content".into()
            }
            Self::TagTaken { tag, changed, .. } => format!(
                "{}; compare the two with `plimsoll verify {tag} --rebuild`; see `plimsoll explain TAG-003`",
                changed.sentence()
            ),
            Self::TagBroken { changed, .. } => {
                format!("{}; repair the repository first; see `plimsoll explain TAG-003`", changed.sentence())
            }
            Self::PushMismatch { tag, .. } => format!(
                "the tags were written and are not to be deployed; find out who else pushes here, then `plimsoll verify {tag}`"
            ),
            Self::Parity { tag, .. } => {
                format!("the tags were written and are not to be deployed; see `plimsoll verify {tag}`")
            }
            Self::Store { source, .. } | Self::NotAnImage { source, .. } => return source.hint(),
        })
    }
}

/// The answer to a look-up. What is not what it must be is invalid; every other
/// error is unknown, and none of them is absent (invariant 4).
pub(super) fn lookup<T>(result: Result<Option<T>, Error>) -> Lookup<T> {
    match result {
        Ok(Some(value)) => Lookup::Found(value),
        Ok(None) => Lookup::Absent,
        Err(error) if error.class() == Class::Integrity => Lookup::Invalid(reason(&error)),
        Err(error) => Lookup::Unknown(reason(&error)),
    }
}

/// Everything an error says, on one line.
pub(super) fn reason(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    if let Some(expected) = error.expected() {
        text = format!("{text}; expected {expected}");
    }
    if let Some(found) = error.found() {
        text = format!("{text}; found {found}");
    }
    match error.hint() {
        Some(hint) => format!("{text} ({hint})"),
        None => text,
    }
}

/// What a registry or proxy wrote, cut short and freed of control characters,
/// which could rewrite a terminal.
pub(super) fn excerpt(text: &str) -> String {
    const MOST: usize = 300;
    let mut clean: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST + 1).collect();
    if clean.chars().count() > MOST {
        clean.pop();
        clean.push('…');
    }
    clean.trim().into()
}
