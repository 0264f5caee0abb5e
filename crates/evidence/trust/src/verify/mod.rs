//! Verification in numbered steps (SIG-5). A step that cannot be done is a
//! failure, not a silence.
//!
//! | step | what |
//! |---|---|
//! | 1 `read` | the evidence is a bundle, or a layer of the older scheme, in a form that is known |
//! | 2 `statement` | what was signed is a statement about an image |
//! | 3 `subject` | the statement is about *this* image |
//! | 4 `signer` | a trusted key, or a certificate, is named |
//! | 5 `signature` | the signature is that signer's over exactly these bytes |
//! | 6 `certificate` | keyless: its chain ends in the trusted root, its transparency promise holds |
//! | 7 `log` | the entry is in the log: inclusion proof and checkpoint, or the log's signed promise |
//! | 8 `time` | when it was signed is proven, and the signer was valid then |
//! | 9 `identity` | keyless: issuer and subject are trusted ones |
//! | 10 `role` | the signer may speak for what the statement is |

mod evidence;
mod identity;
mod key;
mod library;
mod run;

use std::collections::BTreeMap;

use jiff::Timestamp;
use plimsoll_model::Digest;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::role::Role;
use crate::trust::Trust;

/// One piece of evidence, as it was found attached to an image.
#[derive(Debug, Clone, Copy)]
pub enum Evidence<'a> {
    /// A bundle: the layer of a referrer.
    Bundle(&'a [u8]),
    /// A layer at the tag `.sig` of cosign 2.
    LegacySignature {
        /// The layer's bytes.
        payload: &'a [u8],
        /// The layer's annotations.
        annotations: &'a BTreeMap<String, String>,
    },
    /// A layer at the tag `.att` of cosign 2.
    LegacyAttestation {
        /// The layer's bytes.
        envelope: &'a [u8],
        /// The layer's annotations.
        annotations: &'a BTreeMap<String, String>,
    },
}

/// When it is.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Now.
    pub now: Timestamp,
    /// By when somebody who is trusted knew this very image with this
    /// signature or record, e.g. the ledger: a key's signature is then not
    /// younger. It matters for keys whose time is over.
    pub known_since: Option<Timestamp>,
}

/// One step of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its number, 1 to 10.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// How it ended.
    pub outcome: StepOutcome,
    /// What was found, or why not.
    pub detail: String,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// As it must be.
    Done,
    /// Not as it must be; nothing after it was looked at.
    Failed,
    /// There is nothing to look at, and nothing is demanded.
    NotApplicable,
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignedBy {
    /// A key, by its fingerprint.
    Key(String),
    /// An identity, by its certificate.
    Identity {
        /// The OIDC issuer.
        issuer: String,
        /// The subject.
        subject: String,
    },
}

impl std::fmt::Display for SignedBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(fingerprint) => write!(f, "key {fingerprint}"),
            Self::Identity { issuer, subject } => write!(f, "{subject} ({issuer})"),
        }
    }
}

/// Evidence that verified.
#[derive(Debug, Clone)]
pub struct Verified {
    /// What it speaks for.
    pub role: Role,
    /// What the statement is.
    pub predicate_type: String,
    /// The predicate, as it was signed.
    pub predicate: Box<RawValue>,
    /// Who signed it.
    pub by: SignedBy,
    /// When, where a log or a timestamp authority proves it.
    pub at: Option<Timestamp>,
}

/// What came of it. The four never blur.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It holds, and who signed it is trusted for it.
    Verified(Verified),
    /// It is about another image: an integrity violation.
    Foreign {
        /// What it is about.
        about: String,
    },
    /// It does not hold.
    Invalid {
        /// The page's code.
        code: &'static str,
        /// Why.
        why: String,
    },
    /// It holds, as far as could be seen, by somebody who is not trusted for it.
    Untrusted {
        /// The page's code.
        code: &'static str,
        /// Who, and why not.
        why: String,
    },
    /// It could not be verified, and that is not the evidence's fault.
    Unknown {
        /// The page's code.
        code: &'static str,
        /// Why.
        why: String,
    },
}

/// A verification: each step, and what came of it.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The steps, in order, up to the one that failed.
    pub steps: Vec<Step>,
    /// What the evidence says it is, as soon as that could be read; a claim
    /// unless it verified.
    pub predicate_type: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
}

impl Verification {
    /// What the evidence says it speaks for; none where that cannot be read.
    pub fn claimed_role(&self) -> Option<Role> {
        self.predicate_type.as_deref().map(Role::of)
    }
}

/// Verifies one piece of evidence about an image.
pub fn verify(evidence: Evidence<'_>, image: &Digest, trust: &Trust, clock: Clock) -> Verification {
    run::Run::new(image, trust, clock).verify(evidence)
}
