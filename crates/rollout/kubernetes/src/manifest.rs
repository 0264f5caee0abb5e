//! The documents that are sent: server-side apply under our field manager,
//! with what is ours and nothing else. Pure.
//!
//! Of the user's workload that is: the container's image, the update strategy,
//! our labels and annotations. Everything else, the number of replicas above
//! all, stays with whoever wrote it.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use plimsoll_model::Release;
use plimsoll_rollout_core::{Desired, Fence};
use serde_json::{Value, json};

use crate::names;
use crate::record::Record;
use crate::workload::{Workload, WorkloadKind};

/// Seconds that a pod of the second Deployment goes on serving after it was
/// asked to end, where the user's own container says nothing about it: until
/// every node has heard that it is out of the Service.
pub(crate) const PRE_STOP_SEC: i64 = 5;

/// How the cluster may replace pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) max_unavailable: u32,
    pub(crate) max_surge: u32,
    /// Of a StatefulSet: pods below this number keep the release they have.
    pub(crate) partition: u32,
}

impl Bounds {
    /// Bounds for a workload of this many pods: never all of them at once.
    pub(crate) fn of(desired: &Desired, replicas: u32, max_surge: Option<u32>) -> Self {
        let max_unavailable = desired.max_unavailable.min(replicas.saturating_sub(1));
        let surge = max_surge.unwrap_or(desired.max_unavailable);
        // The API refuses a strategy that can do nothing.
        let max_surge = if max_unavailable == 0 { surge.max(1) } else { surge };
        // While releases are compared, its last pods run the new one.
        let few = desired.candidate.as_ref().filter(|_| desired.beside).map(|share| share.replicas);
        let partition = few.map_or(0, |few| replicas.saturating_sub(few));
        Self { max_unavailable, max_surge, partition }
    }
}

/// The workload's document: record, strategy, image.
pub(crate) fn home(
    workload: &Workload,
    record: &Record,
    container: &str,
    image: Option<&str>,
    environment: &str,
    bounds: Bounds,
    labelled: bool,
) -> Value {
    let mut document = json!({
        "apiVersion": "apps/v1",
        "kind": workload.kind().kind(),
        "metadata": {
            "name": workload.name(),
            "namespace": workload.meta().namespace,
            "resourceVersion": workload.meta().resource_version,
            "labels": { names::ENVIRONMENT: environment },
            "annotations": annotations(record),
        },
        "spec": { "template": template(workload, container, image, labelled) },
    });
    match workload.kind() {
        WorkloadKind::Deployment => document["spec"]["strategy"] = deployment_strategy(bounds),
        WorkloadKind::StatefulSet => {
            document["spec"]["updateStrategy"] =
                json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": bounds.partition } });
        }
    }
    document
}

fn deployment_strategy(bounds: Bounds) -> Value {
    json!({
        "type": "RollingUpdate",
        "rollingUpdate": { "maxUnavailable": bounds.max_unavailable, "maxSurge": bounds.max_surge },
    })
}

/// Whether the workload's strategy is the one its document has.
pub(crate) fn has_strategy(workload: &Workload, bounds: Bounds) -> bool {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
    let is = |value: &Option<IntOrString>, wanted: u32| matches!(value, Some(IntOrString::Int(n)) if u32::try_from(*n) == Ok(wanted));
    match workload {
        Workload::Deployment(deployment) => {
            let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
            strategy.is_some_and(|strategy| {
                strategy.type_.as_deref() == Some("RollingUpdate")
                    && strategy.rolling_update.as_ref().is_some_and(|rolling| {
                        is(&rolling.max_unavailable, bounds.max_unavailable)
                            && is(&rolling.max_surge, bounds.max_surge)
                    })
            })
        }
        Workload::StatefulSet(set) => {
            let strategy = set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
            strategy.is_some_and(|strategy| {
                strategy.type_.as_deref() != Some("OnDelete")
                    && crate::workload::unsigned(
                        strategy.rolling_update.as_ref().and_then(|rolling| rolling.partition),
                    ) == bounds.partition
            })
        }
    }
}

/// What of the pods' template is ours: the image, and, where there may be two
/// workloads, the label that tells them apart. No more, so that going back
/// finds the pods that were there.
fn template(workload: &Workload, container: &str, image: Option<&str>, labelled: bool) -> Value {
    let mut template = json!({});
    if let Some(image) = image {
        let kept = workload.other_images_of_ours(container);
        let all = [(container, image)].into_iter().chain(kept);
        let all: Vec<Value> = all.map(|(name, image)| json!({ "name": name, "image": image })).collect();
        template["spec"] = json!({ "containers": all });
    }
    if labelled {
        template["metadata"] = json!({ "labels": { names::SLOT: names::HOME } });
    }
    template
}

fn annotations(record: &Record) -> Value {
    let mut annotations = json!({ names::FENCE: record.fence.0.to_string() });
    if let Some(desired) = &record.desired {
        annotations[names::DESIRED] =
            json!(serde_json::to_string(desired).expect("a desired state has string keys only"));
        annotations[names::ROLLOUT] = json!(desired.rollout);
        annotations[names::LEDGER_ENTRY] = json!(desired.decision_entry.to_string());
    }
    if let Some(image) = &record.image {
        annotations[names::IMAGE] = json!(image);
        if let Some(release) = pinned(image) {
            annotations[names::SHA] = json!(release.sha().as_str());
            annotations[names::DIGEST] = json!(release.digest().to_string());
        }
    }
    if let Some(image) = &record.adopted_image {
        annotations[names::ADOPTED_IMAGE] = json!(image);
    }
    if !record.before.is_empty() {
        annotations[names::BEFORE] = json!(record.before.join(","));
    }
    annotations
}

/// An image reference that is one of Plimsoll's.
pub(crate) fn pinned(image: &str) -> Option<Release> {
    image.parse().ok().map(Release::new)
}

/// The second Deployment, which lives for one rollout: the user's template with
/// the new image and a label of its own, and so many pods or as many as the
/// first one has. All of it is ours.
#[allow(clippy::too_many_arguments, reason = "each is a part of one document, made at two places")]
pub(crate) fn candidate(
    home: &Deployment,
    container: &str,
    release: &Release,
    fence: Fence,
    environment: &str,
    bounds: Bounds,
    pods: Option<u32>,
    existing: Option<&Deployment>,
) -> Value {
    let name = home.metadata.name.as_deref().unwrap_or_default();
    let spec = home.spec.clone().unwrap_or_default();
    let mut selector = serde_json::to_value(&spec.selector).expect("a selector is JSON");
    selector["matchLabels"][names::SLOT] = json!(names::CANDIDATE);
    let mut template = serde_json::to_value(&spec.template).expect("a template is JSON");
    template["metadata"]["labels"][names::SLOT] = json!(names::CANDIDATE);
    template["metadata"]["labels"][names::SHA] = json!(release.sha().as_str());
    template["metadata"]["annotations"][names::IMAGE] = json!(release.image.to_string());
    // The server fills it in; an old one would only look like a difference.
    if let Some(meta) = template["metadata"].as_object_mut() {
        meta.remove("creationTimestamp");
    }
    for entry in template["spec"]["containers"].as_array_mut().into_iter().flatten() {
        if entry["name"] == container {
            entry["image"] = json!(release.image.to_string());
            let has_pre_stop = entry["lifecycle"]["preStop"].is_object();
            if !has_pre_stop {
                entry["lifecycle"]["preStop"] = json!({ "sleep": { "seconds": PRE_STOP_SEC } });
            }
        }
    }
    let mut document = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": names::candidate_deployment(name),
            "namespace": home.metadata.namespace,
            "labels": { names::ENVIRONMENT: environment, names::SLOT: names::CANDIDATE },
            "ownerReferences": [owner(home)],
        },
        "spec": {
            "replicas": spec.replicas.unwrap_or(1),
            "selector": selector,
            "strategy": deployment_strategy(bounds),
            "template": template,
        },
    });
    for (key, value) in [
        ("minReadySeconds", spec.min_ready_seconds),
        ("progressDeadlineSeconds", spec.progress_deadline_seconds),
    ] {
        if let Some(value) = value {
            document["spec"][key] = json!(value);
        }
    }
    if let Some(pods) = pods {
        document["spec"]["replicas"] = json!(pods);
    } else if let Some(existing) = existing.and_then(|existing| existing.spec.as_ref()) {
        // An autoscaler that makes the first one smaller because the second one
        // does the work must not shrink the second one.
        let larger = existing.replicas.unwrap_or(1).max(spec.replicas.unwrap_or(1));
        document["spec"]["replicas"] = json!(larger);
    }
    document["metadata"]["annotations"] = json!({
        names::FENCE: fence.0.to_string(),
        names::IMAGE: release.image.to_string(),
        names::DIGEST: release.digest().to_string(),
        names::MADE_FROM: fingerprint(&document["spec"]),
    });
    if let Some(version) = existing.and_then(|existing| existing.metadata.resource_version.as_ref()) {
        document["metadata"]["resourceVersion"] = json!(version);
    }
    document
}

/// A Service in front of the second Deployment alone, with the same ports.
pub(crate) fn preview(service: &Service, home: &Deployment, environment: &str) -> Value {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let spec = service.spec.clone().unwrap_or_default();
    let mut selector = spec.selector.unwrap_or_default();
    selector.insert(names::SLOT.into(), names::CANDIDATE.into());
    let ports: Vec<Value> = spec
        .ports
        .iter()
        .flatten()
        .map(|port| {
            let mut port = serde_json::to_value(port).expect("a port is JSON");
            // A node's port can be had once only.
            if let Some(port) = port.as_object_mut() {
                port.remove("nodePort");
            }
            port
        })
        .collect();
    let spec = json!({ "type": "ClusterIP", "selector": selector, "ports": ports });
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": names::preview_service(name),
            "namespace": service.metadata.namespace,
            "labels": { names::ENVIRONMENT: environment, names::SLOT: names::CANDIDATE },
            "annotations": { names::MADE_FROM: fingerprint(&spec) },
            "ownerReferences": [owner(home)],
        },
        "spec": spec,
    })
}

/// Deleting the user's Deployment deletes what was made beside it.
fn owner(home: &Deployment) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": home.metadata.name,
        "uid": home.metadata.uid,
    })
}

/// The change of the Service that binds its selector to one of the two
/// workloads, or to neither. A merge patch and not an apply: to the API a
/// selector is one value, and whoever applies a part of it owns all of it.
pub(crate) fn bind(service: &Service, slot: Option<&str>, fence: Fence, now: jiff::Timestamp) -> Value {
    json!({
        "metadata": {
            "resourceVersion": service.metadata.resource_version,
            "annotations": {
                names::FENCE: fence.0.to_string(),
                names::SWITCHED_AT: slot.map(|_| now.to_string()),
            },
        },
        "spec": { "selector": { names::SLOT: slot } },
    })
}

/// A short fingerprint of a document, to tell whether it was sent already.
pub(crate) fn fingerprint(value: &Value) -> String {
    // FNV-1a: no secret is kept by it, it only tells one document from another.
    let text = value.to_string();
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}
