//! One look at everything of an environment in the cluster. Data; what it
//! means is said elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::names;
use crate::workload::Workload;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct View {
    /// The user's workload.
    pub(crate) home: Option<Workload>,
    /// The second Deployment of a blue/green rollout.
    pub(crate) candidate: Option<Deployment>,
    /// The user's Service.
    pub(crate) service: Option<Service>,
    /// The Service in front of the second Deployment.
    pub(crate) preview: Option<Service>,
    /// ReplicaSets of both Deployments, and maybe others.
    pub(crate) replica_sets: Vec<ReplicaSet>,
    /// Pods that the workload's selector matches.
    pub(crate) pods: Vec<Pod>,
    /// The Service's endpoints; none where they may not be read.
    pub(crate) slices: Option<Vec<EndpointSlice>>,
}

/// Whose pod it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Of the user's own workload.
    Home,
    /// Of the second Deployment.
    Candidate,
}

impl View {
    /// The second Deployment, read like the first.
    pub(crate) fn candidate_workload(&self) -> Option<Workload> {
        self.candidate.clone().map(Workload::Deployment)
    }

    /// Whose pod it is; nothing for a pod of somebody else's that the
    /// selector happens to match.
    pub(crate) fn slot_of(&self, pod: &Pod) -> Option<Slot> {
        let owner = controller(&pod.metadata)?;
        let workload_uid = match owner.kind.as_str() {
            "ReplicaSet" => {
                let set = self.replica_sets.iter().find(|set| uid(&set.metadata) == owner.uid)?;
                controller(&set.metadata)?.uid.as_str()
            }
            _ => owner.uid.as_str(),
        };
        if self.home.as_ref().is_some_and(|home| home.uid() == workload_uid) {
            Some(Slot::Home)
        } else if self.candidate.as_ref().is_some_and(|other| uid(&other.metadata) == workload_uid) {
            Some(Slot::Candidate)
        } else {
            None
        }
    }

    /// Pods of ours, with whose they are.
    pub(crate) fn own_pods(&self) -> impl Iterator<Item = (Slot, &Pod)> {
        self.pods.iter().filter_map(|pod| Some((self.slot_of(pod)?, pod)))
    }

    /// Ids of pods that the Service sends requests to.
    pub(crate) fn receiving(&self) -> BTreeSet<&str> {
        match &self.slices {
            Some(slices) => slices
                .iter()
                .flat_map(|slice| &slice.endpoints)
                .filter(|endpoint| {
                    // An absent condition means ready.
                    endpoint.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true)
                })
                .filter_map(|endpoint| endpoint.target_ref.as_ref()?.uid.as_deref())
                .collect(),
            None => {
                let selector = self.selector();
                let pods = self.pods.iter().filter(|pod| {
                    !selector.is_empty()
                        && is_ready(pod)
                        && pod.metadata.deletion_timestamp.is_none()
                        && matches(&selector, pod.metadata.labels.as_ref())
                });
                pods.map(|pod| uid(&pod.metadata)).collect()
            }
        }
    }

    /// The Service's selector; empty when there is none.
    pub(crate) fn selector(&self) -> BTreeMap<String, String> {
        let spec = self.service.as_ref().and_then(|service| service.spec.as_ref());
        spec.and_then(|spec| spec.selector.clone()).unwrap_or_default()
    }

    /// Which of the two workloads the Service's selector is bound to.
    pub(crate) fn bound_to(&self) -> Option<Slot> {
        match self.selector().get(names::SLOT).map(String::as_str) {
            Some(names::HOME) => Some(Slot::Home),
            Some(names::CANDIDATE) => Some(Slot::Candidate),
            _ => None,
        }
    }
}

/// The controller among an object's owners.
pub(crate) fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// An object's unique id.
pub(crate) fn uid(meta: &ObjectMeta) -> &str {
    meta.uid.as_deref().unwrap_or_default()
}

/// Whether labels have everything that a selector asks for.
pub(crate) fn matches(
    selector: &BTreeMap<String, String>,
    labels: Option<&BTreeMap<String, String>>,
) -> bool {
    selector.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

/// Whether the pod's own condition says that it is ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}

/// One of a pod's conditions.
pub(crate) fn condition<'a>(
    pod: &'a Pod,
    kind: &str,
) -> Option<&'a k8s_openapi::api::core::v1::PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}
