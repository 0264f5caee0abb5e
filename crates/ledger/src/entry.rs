//! One entry, and the exact bytes its hash is taken over.
//!
//! # The hash of an entry
//!
//! `hash = SHA-256(preimage)`, where the preimage is, in this order and with
//! nothing between:
//!
//! | part | bytes |
//! |---|---|
//! | domain | the 25 bytes `plimsoll/ledger/entry/v1\n` |
//! | `seq` | 8 bytes, unsigned, big-endian; the first entry is 1 |
//! | `at` | text, `YYYY-MM-DDTHH:MM:SS.ffffffZ` (UTC, always six digits) |
//! | `actor` | text |
//! | `kind` | text |
//! | `environment` | optional text |
//! | `sha` | optional text, forty hexadecimal digits |
//! | `idempotency` | optional text |
//! | `body` | text: the stored canonical JSON, byte for byte |
//! | `prev` | the 32 bytes of the previous entry's hash |
//!
//! A *text* is its length in bytes as 8 bytes big-endian, then its UTF-8
//! bytes. An *optional text* is one byte `00` when absent, or one byte `01` and
//! then the text. The `prev` of entry 1 is [`genesis`].

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use plimsoll_model::{Commit, Digest, Event, TraceId};
use serde::Serialize;

use crate::{Error, project::Projection};

/// Domain separation of entry hashes.
pub const ENTRY_DOMAIN: &[u8] = b"plimsoll/ledger/entry/v1\n";
/// Domain separation of the first `prev`.
pub const GENESIS_DOMAIN: &[u8] = b"plimsoll/ledger/genesis/v1\n";

/// One recorded event, as it is read back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Position, from 1, without gaps.
    pub seq: u64,
    /// When it was appended, in whole microseconds.
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// [`Event::kind`].
    pub kind: String,
    /// The environment it belongs to, if to one.
    pub environment: Option<String>,
    /// The commit it is about, if about one.
    pub sha: Option<Commit>,
    /// The caller's name for this append, under which it is recorded once.
    pub idempotency: Option<String>,
    /// The trace of the command that recorded it, where it was traced (OBS-3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
    /// What happened.
    pub event: Event,
    /// Hash of the entry before.
    pub prev: Digest,
    /// Hash of this entry.
    pub hash: Digest,
}

/// One entry exactly as the store holds it: nothing parsed, nothing trusted.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Position.
    pub seq: u64,
    /// Time, as text.
    pub at: String,
    /// Who.
    pub actor: String,
    /// Event kind.
    pub kind: String,
    /// Environment.
    pub environment: Option<String>,
    /// Commit, as text.
    pub sha: Option<String>,
    /// Idempotency key.
    pub idempotency: Option<String>,
    /// Canonical JSON of the event; empty where a query left it out.
    pub body: Vec<u8>,
    /// Hash of the entry before.
    pub prev: Digest,
    /// Hash of this entry.
    pub hash: Digest,
    /// Hashes of the Merkle subtrees this entry completes, from level 1 up.
    pub nodes: Vec<Digest>,
    /// What indexes are made over; derived from `body`.
    pub projection: Projection,
}

impl Row {
    /// The hash these contents must have.
    pub fn computed_hash(&self) -> Digest {
        self.computed_hash_at(self.seq)
    }

    /// The hash these contents would have at another position.
    pub fn computed_hash_at(&self, seq: u64) -> Digest {
        let mut sha256 = Context::new(&SHA256);
        sha256.update(ENTRY_DOMAIN);
        sha256.update(&seq.to_be_bytes());
        let mut text = |bytes: &[u8]| {
            sha256.update(&(bytes.len() as u64).to_be_bytes());
            sha256.update(bytes);
        };
        text(self.at.as_bytes());
        text(self.actor.as_bytes());
        text(self.kind.as_bytes());
        for optional in [&self.environment, &self.sha, &self.idempotency] {
            match optional {
                None => sha256.update(&[0]),
                Some(value) => {
                    sha256.update(&[1]);
                    sha256.update(&(value.len() as u64).to_be_bytes());
                    sha256.update(value.as_bytes());
                }
            }
        }
        sha256.update(&(self.body.len() as u64).to_be_bytes());
        sha256.update(&self.body);
        sha256.update(self.prev.as_bytes());
        finish(sha256)
    }

    /// Reads the contents.
    ///
    /// # Errors
    /// `LED-020` where they are not what this version can read.
    pub fn into_entry(self) -> Result<Entry, Error> {
        let seq = self.seq;
        let unreadable = |why: String| Error::Unreadable { seq, why };
        Ok(Entry {
            seq,
            at: self.at.parse().map_err(|e| unreadable(format!("time: {e}")))?,
            actor: self.actor,
            kind: self.kind,
            environment: self.environment,
            sha: self
                .sha
                .map(|sha| sha.parse())
                .transpose()
                .map_err(|e| unreadable(format!("commit: {e}")))?,
            idempotency: self.idempotency,
            trace_id: crate::canonical::trace_of(&self.body),
            event: serde_json::from_slice(&self.body).map_err(|e| unreadable(format!("body: {e}")))?,
            prev: self.prev,
            hash: self.hash,
        })
    }
}

/// The text form of a time: always UTC with six digits, so that texts sort as
/// times do.
pub fn time_text(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// The `prev` of entry 1: `SHA-256("plimsoll/ledger/genesis/v1\n" || origin)`,
/// so that entries of one ledger are no entries of another.
pub fn genesis(origin: &str) -> Digest {
    let mut sha256 = Context::new(&SHA256);
    sha256.update(GENESIS_DOMAIN);
    sha256.update(origin.as_bytes());
    finish(sha256)
}

fn finish(sha256: Context) -> Digest {
    digest_of(sha256.finish().as_ref())
}

/// A SHA-256 output as a [`Digest`].
pub(crate) fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_sha256(bytes.try_into().expect("SHA-256 yields 32 bytes"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row() -> Row {
        Row {
            seq: 1,
            at: "2026-10-01T12:00:04.000000Z".into(),
            actor: "ada".into(),
            kind: "lock.broken".into(),
            environment: Some("e".into()),
            sha: None,
            idempotency: None,
            body: b"{}".to_vec(),
            prev: genesis("example"),
            hash: genesis("example"),
            nodes: Vec::new(),
            projection: Projection::default(),
        }
    }

    /// The documented byte format, written out by hand.
    #[test]
    fn preimage_is_the_documented_one() {
        let mut bytes = b"plimsoll/ledger/entry/v1\n".to_vec();
        bytes.extend(1u64.to_be_bytes());
        for text in ["2026-10-01T12:00:04.000000Z", "ada", "lock.broken"] {
            bytes.extend((text.len() as u64).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes.extend([1, 0, 0, 0, 0, 0, 0, 0, 1, b'e', 0, 0]);
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 2, b'{', b'}']);
        bytes.extend(genesis("example").as_bytes());
        let expected = digest_of(aws_lc_rs::digest::digest(&SHA256, &bytes).as_ref());
        assert_eq!(row().computed_hash(), expected);
    }

    #[test]
    fn no_two_field_splits_share_a_hash() {
        let mut a = row();
        a.actor = "adalock".into();
        a.kind = ".broken".into();
        assert_ne!(a.computed_hash(), row().computed_hash());
        let mut b = row();
        b.environment = None;
        b.sha = Some("e".into());
        assert_ne!(b.computed_hash(), row().computed_hash());
    }

    #[test]
    fn times_have_six_digits_always() {
        let at: Timestamp = "2026-10-01T12:00:04Z".parse().unwrap();
        assert_eq!(time_text(at), "2026-10-01T12:00:04.000000Z");
    }
}
