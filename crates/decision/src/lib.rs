//! EVIDENCE -> VERDICT: pure. Facts in, verdict out; no I/O, no clock, no async.

use plimsoll_model::Release;

/// Proof that the guard allowed one release into one environment.
///
/// Its fields are private and it cannot be deserialised, so a rollout without
/// a decision does not compile (invariant 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    environment: String,
    release: Release,
}

impl Approved {
    /// The environment it was approved for.
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// The release that was approved.
    pub fn release(&self) -> &Release {
        &self.release
    }
}
