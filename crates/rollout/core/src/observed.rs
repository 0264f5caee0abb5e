//! What is: a target's answer, and the machine's only knowledge of the world.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plimsoll_model::Digest;
use plimsoll_model::progress::Condition;
use serde::{Deserialize, Serialize};

use crate::Traffic;

/// Why an instance is failing. Deterministic reasons stop a rollout at once
/// (DEP-5); each has a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The image cannot be fetched or does not have the digest it should.
    ImageUnavailable,
    /// The process could not be started at all: no such file, wrong
    /// architecture, no permission, bad configuration.
    CannotStart,
    /// It exited before it was ever ready.
    ExitedAtOnce,
    /// It exits again and again.
    CrashLoop,
    /// It runs and its health check says no.
    ProbeFailed,
    /// There is no room for it.
    CannotBeScheduled,
    /// The target's own rules refuse it: admission, policy.
    NotAdmitted,
    /// The machine it ran on is gone or does not answer.
    Lost,
}

impl Cause {
    /// The stable code of this cause.
    pub fn code(self) -> &'static str {
        match self {
            Self::ImageUnavailable => "DEP-101",
            Self::CannotStart => "DEP-102",
            Self::ExitedAtOnce => "DEP-103",
            Self::CrashLoop => "DEP-104",
            Self::ProbeFailed => "DEP-105",
            Self::CannotBeScheduled => "DEP-106",
            Self::NotAdmitted => "DEP-115",
            Self::Lost => "DEP-116",
        }
    }
}

/// One failing instance with what a person needs to understand it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// The instance's name.
    pub instance: String,
    /// Why.
    pub cause: Cause,
    /// One sentence: exit status, probe answer, engine's message.
    pub message: String,
    /// The last lines it wrote, oldest first, at most twenty. A target that
    /// keeps events about its instances puts them first, each as `event: …`.
    pub last_lines: Vec<String>,
    /// Whether waiting may heal it, such as room that another instance is
    /// about to make: tolerated for as long as a failing probe.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub heals: bool,
}

impl Failing {
    /// Code and sentence, as one line.
    pub fn reason(&self) -> String {
        format!("{} {}", self.cause.code(), self.message)
    }

    /// Whether it is tolerated for the grace of a failing probe.
    pub fn may_heal(&self) -> bool {
        self.heals || self.cause == Cause::ProbeFailed
    }
}

/// One instance, for people: the machine decides by the counts of [`Fleet`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: Condition,
    /// Why it is not ready: code and one sentence; empty when nothing is wrong.
    pub reason: String,
    /// How often it was started again.
    pub restarts: u32,
    /// Whether it receives traffic.
    pub serving: bool,
    /// Its part of the requests relative to the others'; 1 where all get alike.
    pub weight: u32,
    /// Since when it exists, where that is known.
    pub since: Option<Timestamp>,
}

/// All instances of one digest, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// Created, not ready yet.
    pub starting: u32,
    /// Healthy, whether or not they receive traffic.
    pub ready: u32,
    /// Out of traffic, finishing their last requests.
    pub draining: u32,
    /// Out of traffic, and ended by the target itself whatever happens here:
    /// nobody has to wait for it.
    #[serde(default)]
    pub leaving: u32,
    /// Failing, each with its reason; of those that the rollout seen last has
    /// created.
    pub failing: Vec<Failing>,
    /// Failing ones that an earlier rollout left; they are being replaced and
    /// say nothing about this one.
    pub failing_before: u32,
    /// Ready instances that receive traffic now.
    pub serving: u32,
    /// Each of them, for people. A target that does not know them one by one
    /// leaves this empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<Seen>,
}

/// One look at the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// When it was looked at.
    pub at: Timestamp,
    /// The newest [`crate::Desired::generation`] the target has taken in. An
    /// observation below the machine's own is stale and never counts as success.
    pub generation_seen: u64,
    /// Instances by digest. A digest without instances may be missing.
    pub fleets: BTreeMap<Digest, Fleet>,
    /// Who receives traffic now; `None` when nobody does.
    pub traffic: Option<Traffic>,
    /// How many instances serve when nothing moves, where the target's own
    /// rules (an autoscaler) decide that and not the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<u32>,
}

impl Fleet {
    /// Whether nothing of it is left that anybody has to wait for.
    pub fn is_gone(&self) -> bool {
        self.starting == 0
            && self.ready == 0
            && self.draining == 0
            && self.failing.is_empty()
            && self.failing_before == 0
    }
}

impl Observed {
    /// The fleet of a digest, empty when there is none.
    pub fn fleet(&self, digest: &Digest) -> Fleet {
        self.fleets.get(digest).cloned().unwrap_or_default()
    }
}
