//! What runs against what should run, by digest (DEP-8). Pure, but for the
//! look itself.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plimsoll_model::{Digest, Release};
use serde::Serialize;

use crate::KubernetesTarget;
use crate::error::KubernetesError;
use crate::observe::{digest_in, digest_of, running_digest};
use crate::view::{Slot, View, is_ready, matches, uid};

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
}

impl KubernetesTarget {
    /// Compares what runs with what the ledger says should. `earlier` are the
    /// digests that were rolled out before.
    ///
    /// # Errors
    /// When the cluster cannot be asked: never "no drift" instead.
    pub async fn drift(&self, expected: &Release, earlier: &[Digest]) -> Result<DriftFacts, KubernetesError> {
        let mut view = self.view().await?;
        view.home = Some(self.workload().await?);
        Ok(facts(&view, &self.options().container, expected, earlier))
    }
}

/// The comparison.
pub(crate) fn facts(view: &View, container: &str, expected: &Release, earlier: &[Digest]) -> DriftFacts {
    let receiving = view.receiving();
    let selector = view.selector();
    let Some(home) = &view.home else {
        let (workload, image) = (String::new(), String::new());
        return DriftFacts { workload, image, pods: Vec::new(), drift: Vec::new() };
    };
    let object = format!("{} {}", home.kind(), home.name());
    let image = home.image(container).unwrap_or_default().to_owned();
    let mut drift = Vec::new();
    if image != expected.image.to_string() {
        let by = home.image_changed_by(container);
        drift.push(Drift::ChangedByHand {
            object: object.clone(),
            expected: expected.image.to_string(),
            found: image.clone(),
            by: by.as_ref().map(|by| by.manager.clone()),
            at: by.and_then(|by| by.at),
        });
    }
    let mut pods = Vec::new();
    let mut ready_as_expected = 0;
    for pod in &view.pods {
        let slot = view.slot_of(pod);
        let serving = receiving.contains(uid(&pod.metadata));
        // Others that the workload's selector happens to match, and no user reaches.
        if slot.is_none() && !(serving || matches(&selector, pod.metadata.labels.as_ref())) {
            continue;
        }
        if pod.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let spec = pod.spec.as_ref();
        let told_image = spec
            .and_then(|spec| spec.containers.iter().find(|c| c.name == container))
            .and_then(|c| c.image.clone())
            .unwrap_or_default();
        let (told, running) = (digest_in(&told_image), running_digest(pod, container));
        let name = pod.metadata.name.clone().unwrap_or_default();
        let digest = digest_of(pod, container);
        let is_expected = digest == Some(expected.digest());
        if slot.is_none() || !(is_expected || digest.is_some_and(|d| earlier.contains(&d))) {
            let owner = crate::view::controller(&pod.metadata);
            let made_by = owner.filter(|_| slot.is_none()).map(|o| format!("{} {}", o.kind, o.name));
            drift.push(Drift::Extra { pod: name.clone(), image: told_image.clone(), made_by });
        } else if let Some(digest) = digest.filter(|_| !is_expected) {
            drift.push(Drift::Older { pod: name.clone(), digest });
        }
        if let (Some(told), Some(running)) = (told, running)
            && told != running
        {
            drift.push(Drift::Differs { pod: name.clone(), expected: told, found: running });
        }
        let ready = is_ready(pod);
        ready_as_expected += u32::from(ready && is_expected && slot == Some(Slot::Home));
        pods.push(RunningPod {
            pod: name,
            node: spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
            image: told_image,
            told,
            running,
            ready,
            serving,
            since: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
        });
    }
    if ready_as_expected < home.replicas() {
        drift.push(Drift::Missing { expected: home.replicas(), found: ready_as_expected });
    }
    DriftFacts { workload: object, image, pods, drift }
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ChangedByHand { object, expected, found, by, at } => {
                write!(f, "{object} asks for {found} and not {expected}")?;
                if let Some(by) = by {
                    write!(f, "; changed by {by}")?;
                }
                at.map_or(Ok(()), |at| write!(f, " at {at}"))
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
        }
    }
}

/// How many of each kind, for a metric.
pub fn counted(drift: &[Drift]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for one in drift {
        let kind = match one {
            Drift::ChangedByHand { .. } => "changed_by_hand",
            Drift::Differs { .. } => "differs",
            Drift::Older { .. } => "older",
            Drift::Extra { .. } => "extra",
            Drift::Missing { .. } => "missing",
        };
        *counts.entry(kind).or_insert(0) += 1;
    }
    counts
}
