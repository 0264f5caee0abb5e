//! What runs against what the ledger says should (DEP-8). Asks the ledger and the
//! target, and nothing else: no registry, no database.

mod compare;

use std::collections::BTreeMap;

use jiff::Timestamp;
use plimsoll_ledger::views::{Deployed, Running};
use plimsoll_model::Failure;
use serde::Serialize;

use crate::blocking;
use crate::context::Context;
use crate::target::Running as RunningTarget;

/// How many releases count as older ones; others were never rolled out.
const MOST_EARLIER: usize = 11;

/// What runs against what should run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Drift {
    /// Exactly what the ledger says.
    None {
        /// Instances that are ready.
        ready: u32,
    },
    /// Something else.
    Drifted {
        /// Each difference in words.
        differences: Vec<String>,
        /// How many there are of each kind.
        kinds: BTreeMap<DriftKind, usize>,
        /// The same differences, in the same order, for programs.
        details: Vec<Difference>,
    },
    /// The target could not be asked.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// In which way something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// The workload asks for another image than was rolled out.
    ChangedByHand,
    /// Something runs another image than it was told to.
    OtherImage,
    /// Something runs a release that was rolled out earlier.
    Older,
    /// Something runs that nobody rolled out, or more than should.
    Extra,
    /// Less is ready than should be.
    Missing,
    /// Requests go elsewhere than the ledger says, or nowhere.
    Traffic,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which way.
    pub kind: DriftKind,
    /// Of what: `deployment payouts`, `pod payouts-7c9f`, `instances`.
    pub object: String,
    /// What should be; empty where nothing should.
    pub expected: String,
    /// What is.
    pub found: String,
    /// Who did it, where the target knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When, where the target knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// For people.
    #[serde(skip)]
    pub text: String,
}

impl Drift {
    /// These differences; without any, `ready` instances as recorded.
    pub(crate) fn of(details: Vec<Difference>, ready: u32) -> Self {
        if details.is_empty() {
            return Self::None { ready };
        }
        let mut kinds = BTreeMap::new();
        for one in &details {
            *kinds.entry(one.kind).or_insert(0) += 1;
        }
        let differences = details.iter().map(|one| one.text.clone()).collect();
        Self::Drifted { differences, kinds, details }
    }
}

/// Compares what runs in an environment with what the ledger says. A target that
/// cannot be asked is part of the answer.
///
/// # Errors
/// When there is no such environment or the ledger cannot be read.
pub async fn drift(context: &Context, environment: &str) -> Result<Drift, Failure> {
    let environment = context.environment(environment)?;
    let (ledger, name) = (context.ledger.clone(), environment.name.clone());
    let (current, deployed) = blocking("reading the ledger", move || {
        Ok::<_, Failure>((ledger.current(&name)?, ledger.deployed_before(&name, MOST_EARLIER)?))
    })
    .await??;
    Ok(match RunningTarget::open(context, environment) {
        Ok(target) => found(&target, current.as_ref(), &deployed).await,
        Err(failure) => Drift::Unknown { reason: failure.to_string() },
    })
}

/// What a target says, compared.
pub(crate) async fn found(target: &RunningTarget, current: Option<&Running>, deployed: &[Deployed]) -> Drift {
    let earlier: Vec<_> = deployed.iter().map(|row| row.release.digest()).collect();
    if let (Some(cluster), Some(running)) = (target.kubernetes(), current) {
        return match cluster.drift(&running.release, &earlier).await {
            Ok(facts) => compare::cluster(&facts, &running.release),
            Err(error) => Drift::Unknown { reason: error.to_string() },
        };
    }
    let looked = async {
        let desired = target.desired().await?;
        Ok::<_, plimsoll_rollout_core::TargetError>((desired, target.observe().await?))
    };
    match looked.await {
        Ok((desired, observed)) => {
            compare::fleets(current.map(|running| &running.release), &earlier, desired.as_ref(), &observed)
        }
        Err(error) => Drift::Unknown { reason: error.to_string() },
    }
}
