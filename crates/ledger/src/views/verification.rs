//! How far signatures have come in an environment, and what somebody answers
//! for there (SIG-4, POL-1).

use jiff::Timestamp;
use plimsoll_model::{Commit, Event};
use serde::Serialize;

use super::Decided;
use crate::entry::Entry;
use crate::store::Query;
use crate::views::history;
use crate::{Error, Ledger};

/// Over how many releases coverage is taken: those deployed last, each once.
pub const COVERAGE_WINDOW: usize = 50;

/// One of the releases deployed last, and whether it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// The commit.
    pub sha: Commit,
    /// Whether its signature verified at the newest decision that let it in,
    /// or, where that could not ask for it, before.
    pub signed: bool,
    /// That decision's entry; none where the ledger has none.
    pub decision_entry: Option<u64>,
}

/// The ratchet has clicked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Escalation {
    /// Its ledger entry.
    pub entry: u64,
    /// When.
    pub at: Timestamp,
}

/// Somebody took the escalation back for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Softening {
    /// Its ledger entry.
    pub entry: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When the escalation holds again.
    pub until: Timestamp,
}

/// Somebody answers for letting a check pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Approval {
    /// Its ledger entry.
    pub entry: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// The commit it is for.
    pub sha: Commit,
    /// The check.
    pub code: String,
    /// Why.
    pub reason: String,
    /// When it expires.
    pub until: Timestamp,
}

/// A time in a body. What cannot be read has expired.
fn time(text: &str) -> Timestamp {
    text.parse().unwrap_or(Timestamp::MIN)
}

fn approval(entry: Entry) -> Option<Approval> {
    match entry.event {
        Event::Overridden { sha, code, reason, until, .. } => Some(Approval {
            entry: entry.seq,
            at: entry.at,
            by: entry.actor,
            sha,
            code,
            reason,
            until: time(&until),
        }),
        _ => None,
    }
}

/// Whether facts, as `plimsoll-decision` serialises them, have a verified
/// signature: at that decision, or before it, where nobody could be asked.
fn is_signed(facts: &serde_json::Value) -> bool {
    match facts.pointer("/evidence/signature/state").and_then(serde_json::Value::as_str) {
        Some("verified") => true,
        Some("unknown") => facts.get("verified_before").is_some_and(|before| !before.is_null()),
        _ => false,
    }
}

impl Ledger {
    /// The `window` releases deployed last, newest first, each once, and
    /// whether each is signed.
    ///
    /// # Errors
    /// `LED-004`, `LED-011`, `LED-020`.
    pub fn signature_samples(&self, environment: &str, window: usize) -> Result<Vec<Sample>, Error> {
        self.deployed_before(environment, window)?
            .into_iter()
            .map(|row| {
                let sha = row.release.sha().clone();
                let decision = self.allowed_decision(environment, &sha)?;
                Ok(Sample {
                    signed: decision.as_ref().is_some_and(|decided| is_signed(&decided.facts)),
                    decision_entry: decision.map(|decided| decided.entry),
                    sha,
                })
            })
            .collect()
    }

    /// The newest decision that let a commit into an environment.
    ///
    /// # Errors
    /// As [`Ledger::signature_samples`].
    pub fn allowed_decision(&self, environment: &str, sha: &Commit) -> Result<Option<Decided>, Error> {
        let query = Query {
            sha: Some(sha.as_str().into()),
            outcome: Some("allowed"),
            limit: Some(1),
            ..newest("decision", environment)
        };
        Ok(self.read(&query)?.pop().and_then(history::decided))
    }

    /// The first time that verification became mandatory there.
    ///
    /// # Errors
    /// As [`Ledger::signature_samples`].
    pub fn escalation(&self, environment: &str) -> Result<Option<Escalation>, Error> {
        let query =
            Query { newest_first: false, limit: Some(1), ..newest("verification.escalated", environment) };
        Ok(self.read(&query)?.pop().map(|entry| Escalation { entry: entry.seq, at: entry.at }))
    }

    /// The last time that somebody took that back.
    ///
    /// # Errors
    /// As [`Ledger::signature_samples`].
    pub fn softening(&self, environment: &str) -> Result<Option<Softening>, Error> {
        let query = Query { limit: Some(1), ..newest("verification.softened", environment) };
        Ok(self.read(&query)?.pop().and_then(|entry| match entry.event {
            Event::VerificationSoftened { reason, until, .. } => Some(Softening {
                entry: entry.seq,
                at: entry.at,
                by: entry.actor,
                reason,
                until: time(&until),
            }),
            _ => None,
        }))
    }

    /// What somebody answers for there for a commit, expired or not, newest first.
    ///
    /// # Errors
    /// As [`Ledger::signature_samples`].
    pub fn approvals(&self, environment: &str, sha: &Commit) -> Result<Vec<Approval>, Error> {
        const MOST: u64 = 200;
        let query =
            Query { sha: Some(sha.as_str().into()), limit: Some(MOST), ..newest("override", environment) };
        Ok(self.read(&query)?.into_iter().filter_map(approval).collect())
    }
}

fn newest(kind: &'static str, environment: &str) -> Query {
    Query { kinds: vec![kind], environment: Some(environment.into()), newest_first: true, ..Query::default() }
}
