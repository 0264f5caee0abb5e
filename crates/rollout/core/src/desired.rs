//! What should be: the only thing the machine asks of a target.

use plimsoll_model::Release;
use serde::{Deserialize, Serialize};

/// A release and how many of its instances should exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// What runs.
    pub release: Release,
    /// How many instances.
    pub replicas: u32,
}

/// Who receives users' requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// Only the stable release.
    Stable,
    /// Only the candidate.
    Candidate,
    /// Both, in proportion to their ready instances.
    Shared,
}

/// The state a target is to bring about, whole: a target that has applied it
/// needs to know nothing of what was desired before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The rollout that asks; instances created for it carry this name.
    pub rollout: String,
    /// Rises with every change within an environment; an observation that has
    /// seen a lower one is stale.
    pub generation: u64,
    /// What served before, if anything did.
    pub stable: Option<Share>,
    /// What is being rolled out.
    pub candidate: Option<Share>,
    /// Who serves.
    pub traffic: Traffic,
    /// How many instances may be missing while getting there.
    pub max_unavailable: u32,
    /// How many instances serve users when nothing moves.
    pub replicas: u32,
    /// Seconds an instance gets to finish its requests before it is stopped.
    pub drain_sec: u32,
}
