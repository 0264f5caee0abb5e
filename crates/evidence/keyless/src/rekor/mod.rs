//! Rekor: the transparency log. What it answers becomes part of the bundle
//! once it is about what was sent; that it proves inclusion, the bundle's
//! verifier checks.

mod v1;
mod v2;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::endpoint::{Endpoint, excerpt};
use crate::error::{At, Cause, Error, Published};
use crate::http::{Answer, Http};
use crate::services::RekorVersion;

/// The longest answer that is read, in bytes.
const LONGEST: usize = 1 << 20;
/// A proof has one hash for each level of the tree, and no tree has more.
const MOST_HASHES: usize = 64;

/// What is to be logged: one signature over one payload, and its certificate.
pub(crate) struct Record<'a> {
    /// The DSSE envelope as JSON.
    pub(crate) envelope: &'a str,
    /// The payload in it.
    pub(crate) payload: &'a [u8],
    /// What the signature covers: the payload with its type (PAE).
    pub(crate) signed: &'a [u8],
    /// The signature, in DER.
    pub(crate) signature: &'a [u8],
    /// The certificate, in DER.
    pub(crate) certificate: &'a [u8],
}

/// An entry, as bundles carry it (`TransparencyLogEntry` of the protobuf
/// specifications, in JSON).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    #[serde(default, deserialize_with = "number")]
    log_index: String,
    log_id: LogId,
    kind_version: KindVersion,
    #[serde(default, deserialize_with = "number", skip_serializing_if = "String::is_empty")]
    integrated_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    inclusion_promise: Option<InclusionPromise>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inclusion_proof: Option<InclusionProof>,
    canonicalized_body: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogId {
    key_id: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct KindVersion {
    kind: String,
    version: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InclusionPromise {
    signed_entry_timestamp: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InclusionProof {
    #[serde(default, deserialize_with = "number")]
    log_index: String,
    root_hash: String,
    #[serde(deserialize_with = "number")]
    tree_size: String,
    #[serde(default)]
    hashes: Vec<String>,
    checkpoint: Checkpoint,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Checkpoint {
    envelope: String,
}

/// What came of logging one signature.
pub(crate) enum Logged {
    /// The entry.
    Entry(Box<Entry>),
    /// It was in the log already, which does not say where: an answer before
    /// was lost. Another signature over the same payload is another entry.
    Already,
}

impl Logged {
    /// The entry, where there is one.
    pub(crate) fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Entry(entry) => Some(entry),
            Self::Already => None,
        }
    }
}

/// Logs a signature.
///
/// # Errors
/// The log cannot be reached, refuses, answers nonsense, or logs something
/// else; the error knows what may be public.
pub(crate) async fn log(
    http: &Http,
    rekor: &Endpoint,
    version: RekorVersion,
    record: &Record<'_>,
) -> Result<Logged, Error> {
    let logged = match version {
        RekorVersion::V1 => v1::log(http, rekor, record).await,
        RekorVersion::V2 => v2::log(http, rekor, record).await,
    };
    logged.map_err(|error| {
        let published = match error.cause() {
            Cause::Entry { .. } => Published::Entries(1),
            // It said no, or never heard of it.
            Cause::Refused { .. } | Cause::Untrusted { .. } | Cause::Options { .. } => Published::Certificate,
            _ => Published::PerhapsEntries,
        };
        error.with_published(published)
    })
}

impl Entry {
    /// When the log took it, where it says that.
    pub(crate) fn integrated(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.integrated_time.parse().ok()?).ok()
    }

    /// The body, decoded.
    fn body(&self, answer: &Answer) -> Result<serde_json::Value, Error> {
        let body = STANDARD.decode(&self.canonicalized_body).ok();
        let body = body.and_then(|body| serde_json::from_slice(&body).ok());
        body.ok_or_else(|| answer.wrong("an entry whose body is JSON", "another body"))
    }

    /// Whether it has what a bundle needs, within bounds.
    fn provable(&self, answer: &Answer) -> Result<(), Error> {
        let expected = "an entry with inclusion proof and checkpoint";
        match &self.inclusion_proof {
            None => Err(answer.wrong(expected, "an entry without inclusion proof")),
            Some(proof) if proof.checkpoint.envelope.is_empty() => {
                Err(answer.wrong(expected, "an inclusion proof without checkpoint"))
            }
            Some(proof) if proof.hashes.len() > MOST_HASHES => {
                Err(answer.wrong(expected, &format!("a proof of {} hashes", proof.hashes.len())))
            }
            Some(_) => Ok(()),
        }
    }
}

/// Compares one field of an entry's body with what was sent.
fn same(at: &At, name: &str, expected: &str, found: Option<&str>) -> Result<(), Error> {
    if found == Some(expected) {
        return Ok(());
    }
    let [expected, found] = [Some(expected), found].map(|value| match value {
        Some(value) => format!("{name} `{}`", excerpt(value)),
        None => format!("no {name}"),
    });
    Err(Cause::Entry { at: at.clone(), expected, found }.into())
}

/// A whole number, which JSON of protobuf writes as text.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Number(u64),
        Text(String),
    }
    match Option::<Number>::deserialize(from)? {
        None => Ok(String::new()),
        Some(Number::Number(number)) => Ok(number.to_string()),
        Some(Number::Text(text)) if text.parse::<u64>().is_ok() => Ok(text),
        Some(Number::Text(_)) => Err(serde::de::Error::custom("expected a whole number")),
    }
}
