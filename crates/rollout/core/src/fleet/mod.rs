//! What targets that start instances themselves share: a pure function from
//! what should be and what is to the next operations, and a [`FleetTarget`]
//! that carries them out.
//!
//! A target implements [`FleetOps`], seven idempotent operations; fencing,
//! order and bounds are decided here, once.

mod converge;
mod target;

#[cfg(test)]
mod tests;

use plimsoll_model::{Digest, Release};
use serde::{Deserialize, Serialize};

use crate::{Desired, Failing, Fence};

pub use converge::converge;
pub use target::{Converge, FleetOps, FleetTarget};

/// Deaths of a candidate's instances that were ready before, within one
/// rollout, after which it counts as a crash loop.
pub const CRASH_LOOP_DEATHS: usize = 3;

/// The largest weight of a route, as the traffic switch takes it.
pub const MAX_WEIGHT: u32 = 1_000;

/// One instance as a target finds it. What is said here lives with the
/// instance (labels, a state file), so that a new process finds it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name, as given to [`FleetOps::create`]; unique within the environment.
    pub id: String,
    /// What runs in it.
    pub release: Release,
    /// The rollout that created it.
    pub rollout: String,
    /// The [`Desired::generation`] that created it.
    pub generation: u64,
    /// How it is.
    pub state: InstanceState,
    /// Whether it receives new requests now.
    pub routed: bool,
    /// How often it was started again.
    #[serde(default)]
    pub restarts: u32,
    /// Since when it exists, where that is known.
    #[serde(default)]
    pub since: Option<jiff::Timestamp>,
    /// Its part of the requests relative to the others' ([`RouteEntry::weight`]).
    #[serde(default)]
    pub weight: u32,
}

impl Instance {
    /// What a person sees of it.
    pub(crate) fn seen(&self) -> crate::Seen {
        use plimsoll_model::progress::Condition;
        let (state, reason) = match &self.state {
            InstanceState::Starting => (Condition::Starting, String::new()),
            InstanceState::Ready => (Condition::Ready, String::new()),
            InstanceState::Failing(why) => (Condition::Failing, why.reason()),
            InstanceState::Draining | InstanceState::Drained => (Condition::Draining, String::new()),
            InstanceState::Exited { message, .. } => (Condition::Ended, message.clone()),
        };
        crate::Seen {
            name: self.id.clone(),
            state,
            reason,
            restarts: self.restarts,
            serving: self.routed && self.state == InstanceState::Ready,
            weight: self.weight.max(1),
            since: self.since,
        }
    }
}

/// How an instance is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// Created, not yet healthy, nothing wrong known. An image that is still
    /// being fetched belongs here.
    Starting,
    /// Healthy.
    Ready,
    /// Something is wrong. Say so as soon as it is known, a failed probe of a
    /// starting instance too: how long that is tolerated is the machine's
    /// decision.
    Failing(Failing),
    /// [`FleetOps::drain`] was called; it has requests in flight.
    Draining,
    /// Drained: no request is in flight, or the time given is over.
    Drained,
    /// It was ready once, and its process ended without having been asked to.
    Exited {
        /// One sentence: exit status, signal.
        message: String,
        /// The last lines it wrote, oldest first, at most twenty.
        last_lines: Vec<String>,
    },
}

/// One destination of users' requests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RouteEntry {
    /// The instance.
    pub id: String,
    /// Its image; the switch counts requests per digest.
    pub digest: Digest,
    /// Its part of the requests relative to the others'; at least 1.
    pub weight: u32,
}

/// One thing to do to a fleet. Each can be repeated without harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceOp {
    /// Start an instance of a release under this name.
    Create {
        /// What to run.
        release: Release,
        /// Its name and id.
        name: String,
    },
    /// Send new requests to exactly these.
    Route(Vec<RouteEntry>),
    /// Take it out of traffic and let it finish its requests.
    Drain {
        /// The instance.
        id: String,
    },
    /// Stop it and remove every trace of it.
    Remove {
        /// The instance.
        id: String,
    },
}

impl std::fmt::Display for InstanceOp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Create { name, .. } => write!(f, "create {name}"),
            Self::Route(entries) if entries.is_empty() => f.write_str("send requests to nobody"),
            Self::Route(entries) => {
                let ids: Vec<_> = entries.iter().map(|e| e.id.as_str()).collect();
                write!(f, "send requests to {}", ids.join(", "))
            }
            Self::Drain { id } => write!(f, "drain {id}"),
            Self::Remove { id } => write!(f, "remove {id}"),
        }
    }
}

/// What a fleet target remembers durably (a file written with fsync and
/// rename): enough to refuse a late process and to come back after a reboot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetRecord {
    /// The highest fence seen.
    pub fence: Fence,
    /// The newest desired state taken in.
    pub desired: Option<Desired>,
}

impl FleetRecord {
    /// The newest generation taken in; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.desired.as_ref().map_or(0, |d| d.generation)
    }

    /// Whether this one must not replace `stored`: it comes from a former
    /// owner, or asks for something that has been superseded.
    pub fn is_older_than(&self, stored: &Self) -> bool {
        self.fence < stored.fence || self.generation() < stored.generation()
    }
}

/// The name of the `n`-th instance a generation creates:
/// `<environment>-<12 digits of the sha>-<generation>-<n>`.
pub fn instance_name(desired: &Desired, release: &Release, n: u32) -> String {
    format!("{}-{}-{}-{n}", desired.environment, release.sha().short(), desired.generation)
}

/// How many last lines of an instance are kept and shown.
pub const LAST_LINES: usize = 20;

/// The last lines of what an instance wrote, oldest first: at most
/// [`LAST_LINES`], none empty, each of at most 500 characters and without
/// control characters.
pub fn last_lines(text: &str) -> Vec<String> {
    const MOST_CHARACTERS: usize = 500;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..]
        .iter()
        .map(|line| line.chars().filter(|c| !c.is_control() || *c == '\t').take(MOST_CHARACTERS).collect())
        .collect()
}
