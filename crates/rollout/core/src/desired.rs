//! What should be: the only thing the machine asks of a target.

use plimsoll_model::{Digest, Release, Strategy};
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
///
/// `stable` is trusted: its instances are replaced when they die. `candidate`
/// is on trial: its failing instances are left as they are, so that the
/// machine sees why they fail. Whatever runs and is neither is drained and
/// removed as soon as those that should serve can take over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The environment; part of the instances' names.
    pub environment: String,
    /// The rollout that asks; instances created for it carry this name.
    pub rollout: String,
    /// Rises with every change within an environment; an observation that has
    /// seen a lower one is stale.
    pub generation: u64,
    /// What is trusted: what served before or, at the end of a rollout, what
    /// has proved itself.
    pub stable: Option<Share>,
    /// What is being rolled out.
    pub candidate: Option<Share>,
    /// Who serves.
    pub traffic: Traffic,
    /// How many instances may be missing while getting there.
    pub max_unavailable: u32,
    /// How many instances may exist beyond `replicas` while a single share is
    /// desired (settling, reverting, repairing); at least 1. With two shares
    /// their sizes are the bound.
    pub max_surge: u32,
    /// How many instances serve users when nothing moves.
    pub replicas: u32,
    /// How instances are to be replaced. Targets that order the steps by the
    /// shares alone need not look at it.
    #[serde(default = "rolling")]
    pub strategy: Strategy,
    /// The candidate's part of the requests while both serve, in thousandths from
    /// 1 to 999; none: in proportion to the instances. Only for targets that can
    /// send requests by weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permille: Option<u32>,
    /// The candidate is compared with the stable release before that is
    /// replaced: no more of the stable's instances make room for it than the shares
    /// say. Targets that order the steps by the shares alone need not look at it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beside: bool,
    /// The ledger entry of the decision that allows this rollout.
    #[serde(default)]
    pub decision_entry: u64,
    /// Seconds an instance gets to finish its requests before it is stopped.
    pub drain_sec: u32,
}

/// What a record says that was written before it said so.
fn rolling() -> Strategy {
    Strategy::Rolling
}

impl Desired {
    /// The shares that are to exist, stable first.
    pub fn shares(&self) -> impl Iterator<Item = &Share> {
        self.stable.iter().chain(&self.candidate)
    }

    /// Whether instances of this digest are to receive requests.
    pub fn serves(&self, digest: &Digest) -> bool {
        let is = |share: &Option<Share>| share.as_ref().is_some_and(|s| s.release.digest() == *digest);
        match self.traffic {
            Traffic::Stable => is(&self.stable),
            Traffic::Candidate => is(&self.candidate),
            Traffic::Shared => is(&self.stable) || is(&self.candidate),
        }
    }

    /// The candidate's part of the requests, in thousandths, where one is desired.
    pub fn part(&self) -> Option<u32> {
        self.permille.filter(|permille| self.traffic == Traffic::Shared && (1..1_000).contains(permille))
    }

    /// How many ready instances are to receive requests once all is as desired.
    pub fn serving(&self) -> u32 {
        self.shares().filter(|s| self.serves(&s.release.digest())).map(|s| s.replicas).sum()
    }

    /// Ready instances that must stay in traffic on the way, as long as that
    /// many are there: `replicas - max_unavailable`, and never none.
    pub fn floor(&self) -> u32 {
        self.replicas.saturating_sub(self.max_unavailable).max(1)
    }
}
