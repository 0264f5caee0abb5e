//! The plan: immutable data that says who, from, to, how and within which bounds.

use std::borrow::Cow;

use jiff::Timestamp;
use plimsoll_decision::Approved;
use plimsoll_health::InsufficientData;
use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Release, RepositoryType, Strategy};
use serde::{Deserialize, Serialize};

/// How long each part may take, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// From the first change to every replica ready.
    pub rollout_sec: u32,
    /// How long both releases receive requests side by side, so that what they
    /// show can be compared; 0: they are not compared.
    #[serde(default)]
    pub compare_sec: u32,
    /// How long the new release is watched after it took all traffic.
    pub bake_sec: u32,
    /// How long the old replicas of a blue/green rollout are kept after the
    /// switch, so that going back is instant.
    pub keep_sec: u32,
    /// How long an instance may finish its requests.
    pub drain_sec: u32,
    /// How long an instance that runs may fail its health check before that
    /// stops the rollout. Causes that time cannot heal stop it at once.
    pub probe_grace_sec: u32,
}

/// A part of the requests for the new release while both serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// In thousandths, from 1 to 999.
    pub permille: u32,
    /// Whether the target sends requests to all instances alike, so that the
    /// part is one of the instances: at least one, and none more than it takes.
    pub by_instances: bool,
}

impl Canary {
    /// Instances of the new release beside `old` of the old one, at most `most`:
    /// as near to the part as whole instances get.
    pub fn instances(self, old: u32, most: u32) -> u32 {
        if !self.by_instances {
            return 1;
        }
        let permille = u64::from(self.permille.clamp(1, 999));
        let rest = 1_000 - permille;
        let wanted = (permille * u64::from(old) + rest / 2) / rest;
        u32::try_from(wanted).unwrap_or(u32::MAX).clamp(1, most.max(1))
    }

    /// Instances of the new release among `all`, where each takes the place of an
    /// old one: as near to the part as whole instances get, and at least one of
    /// each release where there is more than one.
    pub fn instances_of(self, all: u32) -> u32 {
        if !self.by_instances {
            return 1;
        }
        let permille = u64::from(self.permille.clamp(1, 999));
        let wanted = (permille * u64::from(all) + 500) / 1_000;
        u32::try_from(wanted).unwrap_or(u32::MAX).clamp(1, all.saturating_sub(1).max(1))
    }
}

/// The plan as it is written to the ledger and printed by `--dry-run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRecord {
    /// Unique name of this rollout.
    pub rollout: String,
    /// The environment.
    pub environment: String,
    /// Deploy or rollback.
    pub kind: RolloutKind,
    /// What serves now, if anything does.
    pub from: Option<Release>,
    /// What shall serve.
    pub to: Release,
    /// Label of the counters.
    pub repository_type: RepositoryType,
    /// Rolling or blue/green.
    pub strategy: Strategy,
    /// Instances that serve when nothing moves; at least 1.
    pub replicas: u32,
    /// Instances of `from` that serve when nothing moves, where that differs
    /// from `replicas`; going back restores as many.
    pub from_replicas: Option<u32>,
    /// Instances that may be missing on the way; at least 1.
    pub max_unavailable: u32,
    /// Time limits.
    pub deadlines: Deadlines,
    /// What to do when comparing shows too little to say.
    #[serde(default)]
    pub insufficient_data: InsufficientData,
    /// The new release's part of the requests while it is compared; none: in
    /// proportion to the instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// Whether instances of the new release take the place of old ones already
    /// while both are compared: of a target whose instances have identities that
    /// cannot exist twice.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_place: bool,
    /// Who asked.
    pub actor: String,
    /// When.
    pub created: Timestamp,
    /// The ledger entry of the decision that allows it.
    pub decision_entry: u64,
}

/// An approved plan. There is no way to one but through [`Approved`]
/// (invariant 1): a resumed rollout decides again over the recorded facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan(PlanRecord);

/// The approval is for something other than the plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the decision approves {approved} and the plan rolls out {planned}")]
pub struct NotApproved {
    /// What the guard approved.
    pub approved: Box<Release>,
    /// What the plan would roll out.
    pub planned: Box<Release>,
}

impl Plan {
    /// Joins a plan with the approval for exactly its release.
    ///
    /// # Errors
    /// When the approval is for another release or environment.
    pub fn new(approved: &Approved, record: PlanRecord) -> Result<Self, NotApproved> {
        if approved.release() != &record.to || approved.environment() != record.environment {
            return Err(NotApproved {
                approved: Box::new(approved.release().clone()),
                planned: Box::new(record.to),
            });
        }
        Ok(Self(record))
    }

    /// A plan for the simulation, which plays approval itself. Not compiled
    /// into anything that ships.
    #[cfg(any(test, feature = "simulation"))]
    pub fn simulated(record: PlanRecord) -> Self {
        Self(record)
    }

    /// The same plan where the target's own rules say how many instances
    /// serve ([`crate::Observed::scale`]): every size follows from that number.
    #[must_use]
    pub fn at_scale(&self, scale: Option<u32>) -> Cow<'_, Self> {
        let Some(replicas) = scale else { return Cow::Borrowed(self) };
        let max_unavailable = self.0.max_unavailable.min(replicas).max(1);
        Cow::Owned(Self(PlanRecord { replicas, from_replicas: None, max_unavailable, ..self.0.clone() }))
    }

    /// The plan's data.
    pub fn record(&self) -> &PlanRecord {
        &self.0
    }
}

impl std::ops::Deref for Plan {
    type Target = PlanRecord;
    fn deref(&self) -> &PlanRecord {
        &self.0
    }
}
