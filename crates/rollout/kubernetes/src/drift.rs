//! What runs against what should run, by digest, and whether the Service sends
//! its requests there (DEP-8).

mod compare;
mod service;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use plimsoll_model::{Digest, Release};
use serde::Serialize;

use crate::KubernetesTarget;
use crate::api::Kind;
use crate::error::KubernetesError;
use crate::target::query_of;
use crate::view::{View, matches, uid};

/// What the ledger says of an environment.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    /// What should run; none before the first rollout has ended.
    pub current: Option<&'a Release>,
    /// The digests that were rolled out before.
    pub earlier: &'a [Digest],
    /// A rollout that has begun and has no end.
    pub rollout: Option<Moving<'a>>,
}

/// A rollout on its way: what it brings may run beside what should run.
#[derive(Debug, Clone, Copy)]
pub struct Moving<'a> {
    /// What it brings.
    pub to: &'a Release,
    /// How many pods may be missing meanwhile.
    pub max_unavailable: u32,
}

/// One pod, as it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunningPod {
    /// Its name.
    pub pod: String,
    /// Where it runs; empty before it is scheduled.
    pub node: String,
    /// The image its container is told to run.
    pub image: String,
    /// The digest in that reference, where it has one.
    pub told: Option<Digest>,
    /// The digest of what runs, as the kubelet reports it.
    pub running: Option<Digest>,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether the Service sends it requests.
    pub serving: bool,
    /// When it was made.
    pub since: Option<Timestamp>,
}

/// One way in which what runs is not what should run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Drift {
    /// The workload asks for another image than was rolled out.
    ChangedByHand {
        /// `deployment payouts`.
        object: String,
        /// What was rolled out.
        expected: String,
        /// What it asks for.
        found: String,
        /// The field manager that did it, where the cluster knows.
        by: Option<String>,
        /// When, where the cluster knows.
        at: Option<Timestamp>,
    },
    /// A pod runs another image than its container is told to.
    Differs {
        /// The pod.
        pod: String,
        /// What it is told.
        expected: Digest,
        /// What the kubelet says runs.
        found: Digest,
    },
    /// A pod runs a release that was rolled out before the present one.
    Older {
        /// The pod.
        pod: String,
        /// What it runs.
        digest: Digest,
    },
    /// A pod receives the Service's requests and runs something that was never
    /// rolled out, or is nobody's that Plimsoll knows.
    Extra {
        /// The pod.
        pod: String,
        /// The image it is told to run.
        image: String,
        /// What makes it, where that is not the workload.
        made_by: Option<String>,
    },
    /// Fewer pods are ready than the workload shall have.
    Missing {
        /// How many it shall have.
        expected: u32,
        /// How many are ready with the right image.
        found: u32,
    },
    /// The Service does not send its requests to the pods that should have them.
    Service {
        /// Its name.
        service: String,
        /// In which way.
        way: Astray,
        /// What should be.
        expected: String,
        /// What is.
        found: String,
        /// The field manager that did it, where the cluster knows.
        by: Option<String>,
        /// When, where the cluster knows.
        at: Option<Timestamp>,
    },
}

/// Where a Service's requests go instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Astray {
    /// There is no such Service.
    Gone,
    /// Its selector does not match the labels of the workload's pods.
    Selector,
    /// No ready pod is behind it.
    Nobody,
    /// To pods of which none runs what should run.
    Elsewhere,
}

/// Something that is not as recorded because a rollout is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfRollout {
    /// `deployment payouts`, `pod payouts-7c9f`.
    pub object: String,
    /// The image it asks for or runs.
    pub image: String,
}

/// What runs, and how that differs from what should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DriftFacts {
    /// `deployment payouts`.
    pub workload: String,
    /// The image it asks for.
    pub image: String,
    /// Every pod behind it and behind the Service.
    pub pods: Vec<RunningPod>,
    /// The differences; empty when all is as recorded.
    pub drift: Vec<Drift>,
    /// What the rollout on its way explains.
    pub of_rollout: Vec<OfRollout>,
}

impl KubernetesTarget {
    /// Compares what runs with what the ledger says should.
    ///
    /// # Errors
    /// When the cluster cannot be asked: never "no drift" instead.
    pub async fn drift(&self, recorded: &Recorded<'_>) -> Result<DriftFacts, KubernetesError> {
        let mut view = self.view().await?;
        view.home = Some(self.workload().await?);
        self.strangers(&mut view).await?;
        Ok(compare::facts(&view, self.options(), recorded))
    }

    /// Takes in pods that the Service selects and the workload does not.
    async fn strangers(&self, view: &mut View) -> Result<(), KubernetesError> {
        let selector = view.selector();
        let known = |id: &&str| view.pods.iter().any(|pod| uid(&pod.metadata) == *id);
        let labels = view.home.as_ref().map(crate::Workload::pod_labels);
        let to_ours = matches(&selector, labels.as_ref()) && view.receiving().iter().all(known);
        // An empty selector is none, and not everybody.
        if selector.is_empty() || to_ours {
            return Ok(());
        }
        let query = query_of(&LabelSelector { match_labels: Some(selector), match_expressions: None });
        for pod in self.api().list::<Pod>(Kind::POD, &query).await?.items {
            if !view.pods.iter().any(|other| uid(&other.metadata) == uid(&pod.metadata)) {
                view.pods.push(pod);
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ChangedByHand { object, expected, found, by, at } => {
                write!(f, "{object} asks for {found} and not {expected}")?;
                who(f, by.as_deref(), *at)
            }
            Self::Differs { pod, expected, found } => {
                write!(f, "pod {pod} runs {} and was told {}", found.short(), expected.short())
            }
            Self::Older { pod, digest } => write!(f, "pod {pod} runs {}, an older release", digest.short()),
            Self::Extra { pod, image, made_by: Some(owner) } => {
                write!(f, "pod {pod} of {owner} runs {image} behind the Service")
            }
            Self::Extra { pod, image, made_by: None } => {
                write!(f, "pod {pod} runs {image}, which was never rolled out")
            }
            Self::Missing { expected, found } => write!(f, "{found} of {expected} pods are ready"),
            Self::Service { service, way, expected, found, by, at } => {
                match way {
                    Astray::Gone => write!(f, "there is no service {service}, so nobody receives requests"),
                    Astray::Selector => {
                        write!(f, "service {service} selects {found}, and the pods have {expected}")
                    }
                    Astray::Nobody => write!(f, "no ready pod is behind service {service}"),
                    Astray::Elsewhere => {
                        write!(f, "service {service} sends requests to {found} and not to {expected}")
                    }
                }?;
                who(f, by.as_deref(), *at)
            }
        }
    }
}

fn who(f: &mut std::fmt::Formatter<'_>, by: Option<&str>, at: Option<Timestamp>) -> std::fmt::Result {
    if let Some(by) = by {
        write!(f, "; changed by {by}")?;
    }
    at.map_or(Ok(()), |at| write!(f, " at {at}"))
}
