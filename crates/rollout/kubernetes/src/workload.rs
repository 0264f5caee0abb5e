//! The user's workload, a Deployment or a StatefulSet, read the same way.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ManagedFieldsEntry, ObjectMeta};

/// What pods are made by.
#[derive(Debug, Clone, PartialEq)]
pub enum Workload {
    /// `apps/v1` Deployment.
    Deployment(Deployment),
    /// `apps/v1` StatefulSet.
    StatefulSet(StatefulSet),
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
}

impl WorkloadKind {
    /// As written in `kind:`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
        }
    }

    /// As in the API's path and in RBAC rules.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
        }
    }
}

impl std::fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
        })
    }
}

/// Who changed a field last, as the API server recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedBy {
    /// The field manager: `kubectl-set`, `argocd-controller`.
    pub manager: String,
    /// When, where recorded.
    pub at: Option<Timestamp>,
}

impl std::fmt::Display for ChangedBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "by {}", self.manager)?;
        match self.at {
            Some(at) => write!(f, " at {at}"),
            None => Ok(()),
        }
    }
}

impl Workload {
    /// Which kind it is.
    pub fn kind(&self) -> WorkloadKind {
        match self {
            Self::Deployment(_) => WorkloadKind::Deployment,
            Self::StatefulSet(_) => WorkloadKind::StatefulSet,
        }
    }

    /// Its metadata.
    pub fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Deployment(deployment) => &deployment.metadata,
            Self::StatefulSet(set) => &set.metadata,
        }
    }

    /// Its name; empty only in an answer without one.
    pub fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }

    /// Its unique id.
    pub fn uid(&self) -> &str {
        self.meta().uid.as_deref().unwrap_or_default()
    }

    /// One of its annotations.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.meta().annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// What its pods are made from.
    pub fn template(&self) -> Option<&PodTemplateSpec> {
        match self {
            Self::Deployment(deployment) => deployment.spec.as_ref().map(|spec| &spec.template),
            Self::StatefulSet(set) => set.spec.as_ref().map(|spec| &spec.template),
        }
    }

    /// The pods' specification.
    pub fn pod_spec(&self) -> Option<&PodSpec> {
        self.template()?.spec.as_ref()
    }

    /// The labels its pods get.
    pub fn pod_labels(&self) -> BTreeMap<String, String> {
        let meta = self.template().and_then(|template| template.metadata.as_ref());
        meta.and_then(|meta| meta.labels.clone()).unwrap_or_default()
    }

    /// Which pods it counts as its own.
    pub fn selector(&self) -> Option<&LabelSelector> {
        match self {
            Self::Deployment(deployment) => deployment.spec.as_ref().map(|spec| &spec.selector),
            Self::StatefulSet(set) => set.spec.as_ref().map(|spec| &spec.selector),
        }
    }

    /// A container of its pods.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.pod_spec()?.containers.iter().find(|container| container.name == name)
    }

    /// The image that container is told to run.
    pub fn image(&self, container: &str) -> Option<&str> {
        self.container(container)?.image.as_deref()
    }

    /// How many pods it shall have; an absent number means one.
    pub fn replicas(&self) -> u32 {
        let replicas = match self {
            Self::Deployment(deployment) => deployment.spec.as_ref().and_then(|spec| spec.replicas),
            Self::StatefulSet(set) => set.spec.as_ref().and_then(|spec| spec.replicas),
        };
        unsigned(replicas.or(Some(1)))
    }

    /// Whether the cluster has seen the newest specification: what it counts
    /// before is about an older one.
    pub fn is_seen(&self) -> bool {
        let seen = match self {
            Self::Deployment(deployment) => deployment.status.as_ref().and_then(|s| s.observed_generation),
            Self::StatefulSet(set) => set.status.as_ref().and_then(|s| s.observed_generation),
        };
        seen.unwrap_or(0) >= self.meta().generation.unwrap_or(0)
    }

    /// What the cluster's own controller counts.
    pub fn counts(&self) -> Counts {
        match self {
            Self::Deployment(deployment) => {
                let status = deployment.status.clone().unwrap_or_default();
                Counts {
                    all: unsigned(status.replicas),
                    updated: unsigned(status.updated_replicas),
                    available: unsigned(status.available_replicas),
                }
            }
            Self::StatefulSet(set) => {
                let status = set.status.clone().unwrap_or_default();
                // Once all are updated, the field is emptied by some versions
                // and the two revisions are the same.
                let settled =
                    status.current_revision.is_some() && status.current_revision == status.update_revision;
                let all = u32::try_from(status.replicas).unwrap_or(0);
                Counts {
                    all,
                    updated: if settled { all } else { unsigned(status.updated_replicas) },
                    available: unsigned(status.available_replicas),
                }
            }
        }
    }

    /// Whether every pod is of the newest specification and available, and
    /// none is left of an older one. Our own condition: it does not believe
    /// counts about an older specification.
    pub fn is_complete(&self) -> bool {
        let (counts, wanted) = (self.counts(), self.replicas());
        self.is_seen()
            && counts.updated >= wanted
            && counts.available >= wanted
            && counts.all == counts.updated
    }

    /// The images of other containers that we have set: where `container` named
    /// another one before. What is left out of the next document, and nobody else
    /// owns, would be gone.
    pub(crate) fn other_images_of_ours(&self, container: &str) -> Vec<(&str, &str)> {
        let entries = self.meta().managed_fields.as_deref().unwrap_or_default();
        let containers = self.pod_spec().into_iter().flat_map(|spec| &spec.containers);
        containers
            .filter(|other| other.name != container)
            .filter(|other| entries.iter().any(|entry| is_ours(entry) && owns_image(entry, &other.name)))
            .filter_map(|other| Some((other.name.as_str(), other.image.as_deref()?)))
            .collect()
    }

    /// Who set the container's image last, other than us.
    pub fn image_changed_by(&self, container: &str) -> Option<ChangedBy> {
        let entries = self.meta().managed_fields.as_deref().unwrap_or_default();
        newest(entries.iter().filter(|entry| owns_image(entry, container)))
    }
}

/// A controller's counts of its pods. None of them counts pods that are
/// terminating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub all: u32,
    /// Of the newest specification.
    pub updated: u32,
    /// Ready for long enough, of any specification.
    pub available: u32,
}

pub(crate) fn unsigned(number: Option<i32>) -> u32 {
    number.map_or(0, |number| u32::try_from(number).unwrap_or(0))
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(crate::names::FIELD_MANAGER)
}

/// Whether an entry has a field (`f:spec`, `f:selector`).
fn owns(entry: &ManagedFieldsEntry, path: &[&str]) -> bool {
    let fields = entry.fields_v1.as_ref();
    fields.is_some_and(|fields| path.iter().try_fold(&fields.0, |at, part| at.get(part)).is_some())
}

/// The same of `spec.template.spec.containers[name].image`.
fn owns_image(entry: &ManagedFieldsEntry, container: &str) -> bool {
    let key = format!("k:{}", serde_json::json!({ "name": container }));
    owns(entry, &["f:spec", "f:template", "f:spec", "f:containers", key.as_str(), "f:image"])
}

/// The newest owner of a field that is not us.
pub(crate) fn changed_by(entries: Option<&[ManagedFieldsEntry]>, path: &[&str]) -> Option<ChangedBy> {
    newest(entries.unwrap_or_default().iter().filter(|entry| owns(entry, path)))
}

/// The newest of these that is not us.
fn newest<'a>(entries: impl Iterator<Item = &'a ManagedFieldsEntry>) -> Option<ChangedBy> {
    let owners = entries.filter(|entry| !is_ours(entry));
    let newest = owners.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?;
    Some(ChangedBy {
        manager: newest.manager.clone().unwrap_or_else(|| "an unknown manager".into()),
        at: newest.time.as_ref().map(|time| time.0),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn deployment(spec: serde_json::Value, status: serde_json::Value, generation: i64) -> Workload {
        let mut spec = spec;
        spec["selector"] = json!({ "matchLabels": { "app": "a" } });
        spec["template"] = json!({ "spec": { "containers": [{ "name": "a", "image": "r/a:1" }] } });
        let object =
            json!({ "metadata": { "name": "a", "generation": generation }, "spec": spec, "status": status });
        Workload::Deployment(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn complete_only_when_the_newest_specification_was_seen_and_nothing_old_is_left() {
        let spec = || json!({ "replicas": 3 });
        let status = |seen: i64, all: i32, updated: i32, available: i32| {
            json!({ "observedGeneration": seen, "replicas": all, "updatedReplicas": updated,
                    "availableReplicas": available })
        };
        assert!(deployment(spec(), status(4, 3, 3, 3), 4).is_complete());
        for (why, status) in [
            ("counts about the specification before", status(3, 3, 3, 3)),
            ("one of the old is left", status(4, 4, 3, 3)),
            ("one is not available", status(4, 3, 3, 2)),
            ("one is not updated", status(4, 3, 2, 3)),
            ("no counts at all", json!({})),
        ] {
            assert!(!deployment(spec(), status, 4).is_complete(), "{why}");
        }
    }

    #[test]
    fn who_changed_the_image_is_said_by_the_managed_fields() {
        let mut workload = deployment(json!({}), json!({}), 1);
        let entry = |manager: &str, time: &str, container: &str| {
            let key = format!("k:{{\"name\":\"{container}\"}}");
            json!({ "manager": manager, "operation": "Update", "time": time, "fieldsType": "FieldsV1",
                    "fieldsV1": { "f:spec": { "f:template": { "f:spec": { "f:containers": { key: { "f:image": {} } } } } } } })
        };
        let entries = json!([
            entry("plimsoll", "2026-11-25T12:00:00Z", "a"),
            entry("helm", "2026-11-20T12:00:00Z", "a"),
            entry("kubectl-set", "2026-11-25T11:00:00Z", "a"),
            entry("other", "2026-11-25T13:00:00Z", "b"),
        ]);
        let Workload::Deployment(inner) = &mut workload else { unreachable!() };
        inner.metadata.managed_fields = Some(serde_json::from_value(entries).unwrap());
        let by = workload.image_changed_by("a").unwrap();
        assert_eq!(by.to_string(), "by kubectl-set at 2026-11-25T11:00:00Z");
        assert_eq!(workload.image_changed_by("c"), None);
    }
}
