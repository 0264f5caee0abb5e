//! What runs against what the ledger says should (DEP-8). Asks the ledger and the
//! target, and nothing else: no registry, no database.

mod compare;

use std::collections::BTreeMap;

use jiff::Timestamp;
use plimsoll_ledger::views::{Deployed, Running};
use plimsoll_model::{Commit, Failure};
use serde::Serialize;

use crate::blocking;
use crate::context::Context;
use crate::rollout::{self, Open};
use crate::target::Running as RunningTarget;

/// How many releases count as older ones; others were never rolled out.
const MOST_EARLIER: usize = 11;
/// Looks at the target, at most, where the ledger goes on meanwhile.
const LOOKS: usize = 3;

/// What runs against what should run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Drift {
    /// Exactly what the ledger says.
    None {
        /// Instances that are ready.
        ready: u32,
        /// A rollout on its way, and what is only there because of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        rollout: Option<UnderWay>,
    },
    /// Something else.
    Drifted {
        /// Each difference in words.
        differences: Vec<String>,
        /// How many there are of each kind.
        kinds: BTreeMap<DriftKind, usize>,
        /// The same differences, in the same order, for programs.
        details: Vec<Difference>,
        /// A rollout on its way, and what is only there because of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        rollout: Option<UnderWay>,
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
    /// Somebody has changed it: a workload asks for another image than was rolled
    /// out, a container was stopped.
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

impl DriftKind {
    /// All of them, in order.
    pub const ALL: [Self; 6] =
        [Self::ChangedByHand, Self::OtherImage, Self::Older, Self::Extra, Self::Missing, Self::Traffic];

    /// As in documents and labels of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChangedByHand => "changed_by_hand",
            Self::OtherImage => "other_image",
            Self::Older => "older",
            Self::Extra => "extra",
            Self::Missing => "missing",
            Self::Traffic => "traffic",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which way.
    pub kind: DriftKind,
    /// Of what: `deployment payouts`, `pod payouts-7c9f`, `service payouts`, `instances`.
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

/// A rollout that has begun and has no end: running now, held, or interrupted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnderWay {
    /// Its unique name.
    pub rollout: String,
    /// The ledger entry of its start.
    pub ledger_entry: u64,
    /// What it brings.
    pub image_sha: Commit,
    /// What is not as recorded because of it, and no drift.
    pub explains: Vec<Explained>,
}

/// Something that a rollout on its way explains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// As in [`Difference::object`].
    pub object: String,
    /// What is.
    pub found: String,
    /// For people.
    #[serde(skip)]
    pub text: String,
}

/// What a comparison came to.
#[derive(Debug, Default)]
struct Compared {
    differences: Vec<Difference>,
    explained: Vec<Explained>,
    ready: u32,
}

/// What the ledger says of one environment.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    environment: String,
    /// What should run.
    pub(crate) current: Option<Running>,
    /// What was rolled out, the newest first.
    pub(crate) deployed: Vec<Deployed>,
    /// The rollout without an end.
    pub(crate) open: Option<Open>,
}

impl Standing {
    /// Reads the ledger.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn read(context: &Context, environment: &str) -> Result<Self, Failure> {
        let (ledger, name) = (context.ledger.clone(), environment.to_owned());
        let (current, deployed) = blocking("reading the ledger", move || {
            Ok::<_, Failure>((ledger.current(&name)?, ledger.deployed_before(&name, MOST_EARLIER)?))
        })
        .await??;
        let open = rollout::open(context, environment).await?;
        Ok(Self { environment: environment.to_owned(), current, deployed, open })
    }

    /// Whether it is another one than that was.
    fn differs_from(&self, other: &Self) -> bool {
        let entries = |standing: &Self| {
            let current = standing.current.as_ref().map(|running| running.entry);
            (current, standing.open.as_ref().map(|open| open.entry))
        };
        entries(self) != entries(other)
    }
}

impl Drift {
    fn of(compared: Compared, open: Option<&Open>) -> Self {
        let Compared { differences: details, explained, ready } = compared;
        let rollout = open.map(|open| UnderWay {
            rollout: open.left.plan.rollout.clone(),
            ledger_entry: open.entry,
            image_sha: open.left.plan.to.sha().clone(),
            explains: explained,
        });
        if details.is_empty() {
            return Self::None { ready, rollout };
        }
        let mut kinds = BTreeMap::new();
        for one in &details {
            *kinds.entry(one.kind).or_insert(0) += 1;
        }
        let differences = details.iter().map(|one| one.text.clone()).collect();
        Self::Drifted { differences, kinds, details, rollout }
    }

    /// The rollout on its way, where one is.
    pub fn rollout(&self) -> Option<&UnderWay> {
        match self {
            Self::None { rollout, .. } | Self::Drifted { rollout, .. } => rollout.as_ref(),
            Self::Unknown { .. } => None,
        }
    }
}

/// Compares what runs in an environment with what the ledger says. A target that
/// cannot be asked is part of the answer.
///
/// # Errors
/// When there is no such environment or the ledger cannot be read.
pub async fn drift(context: &Context, environment: &str) -> Result<Drift, Failure> {
    let environment = context.environment(environment)?;
    let standing = Standing::read(context, &environment.name).await?;
    match RunningTarget::open(context, environment) {
        Ok(target) => found(context, &target, &standing).await,
        Err(failure) => Ok(Drift::Unknown { reason: failure.to_string() }),
    }
}

/// What a target says, compared. The target is looked at after the ledger was
/// read: where a rollout has begun or ended in between, what differs may be its
/// doing, and both are looked at again.
///
/// # Errors
/// When the ledger cannot be read.
pub(crate) async fn found(
    context: &Context,
    target: &RunningTarget,
    standing: &Standing,
) -> Result<Drift, Failure> {
    let mut standing = standing.clone();
    for _ in 1..LOOKS {
        let drift = look(target, &standing).await;
        if !matches!(drift, Drift::Drifted { .. }) {
            return Ok(drift);
        }
        let now = Standing::read(context, &standing.environment).await?;
        if !now.differs_from(&standing) {
            return Ok(drift);
        }
        standing = now;
    }
    Ok(look(target, &standing).await)
}

async fn look(target: &RunningTarget, standing: &Standing) -> Drift {
    let earlier: Vec<_> = standing.deployed.iter().map(|row| row.release.digest()).collect();
    let recorded = compare::Recorded {
        current: standing.current.as_ref().map(|running| &running.release),
        earlier: &earlier,
        rollout: standing.open.as_ref().map(|open| &open.left.plan),
    };
    let compared = async {
        if let Some(cluster) = target.kubernetes()
            && (recorded.current.is_some() || recorded.rollout.is_some())
        {
            let facts = cluster.drift(&recorded.of_cluster()).await.map_err(|error| error.to_string())?;
            return Ok(compare::cluster(&facts, &recorded));
        }
        let looked = async {
            let desired = target.desired().await?;
            Ok::<_, plimsoll_rollout_core::TargetError>((
                desired,
                target.observe().await?,
                target.by_hand().await?,
            ))
        };
        let (desired, observed, by_hand) =
            looked.await.map_err(|error: plimsoll_rollout_core::TargetError| error.to_string())?;
        let mut compared = compare::fleets(&recorded, desired.as_ref(), &observed);
        compared.differences.extend(by_hand.iter().map(compare::container));
        Ok::<_, String>(compared)
    };
    match compared.await {
        Ok(compared) => Drift::of(compared, standing.open.as_ref()),
        Err(reason) => Drift::Unknown { reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_name_everywhere() {
        for kind in DriftKind::ALL {
            assert_eq!(serde_json::json!(kind), kind.as_str());
        }
    }
}
