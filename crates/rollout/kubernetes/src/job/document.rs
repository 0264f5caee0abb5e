//! The Job as an object. Pure.

use serde_json::{Value, json};

use super::JobSpec;
use crate::manifest::fingerprint;
use crate::names;
use crate::workload::Workload;

/// How long finished Jobs are kept, for whoever reads their output.
pub(super) const KEPT_SEC: u32 = 3_600;

/// The Job: the workload's pod without what makes it a service.
pub(super) fn document(home: &Workload, container: &str, environment: &str, spec: &JobSpec) -> Value {
    let pod = home.pod_spec().cloned().unwrap_or_default();
    let image = spec.release.image.to_string();
    let key = fingerprint(&json!([home.name(), spec.rollout, image, spec.command, spec.args]));
    let name = names::with_suffix(home.name(), &format!("-{}-{}", spec.purpose, &key[..8]));
    let mut own = json!({ "name": container, "image": image });
    if let Some(container) = home.container(container) {
        let from = serde_json::to_value(container).expect("a container is JSON");
        for field in [
            "env",
            "envFrom",
            "volumeMounts",
            "resources",
            "securityContext",
            "imagePullPolicy",
            "workingDir",
        ] {
            if !from[field].is_null() {
                own[field] = from[field].clone();
            }
        }
    }
    if !spec.command.is_empty() {
        own["command"] = json!(spec.command);
    }
    if !spec.args.is_empty() {
        own["args"] = json!(spec.args);
    }
    let mut env = own["env"].as_array().cloned().unwrap_or_default();
    env.retain(|entry| spec.env.iter().all(|(name, _)| entry["name"] != *name));
    env.extend(spec.env.iter().map(|(name, value)| json!({ "name": name, "value": value })));
    if !env.is_empty() {
        own["env"] = json!(env);
    }
    let mut template = json!({ "restartPolicy": "Never", "containers": [own] });
    let from = serde_json::to_value(&pod).expect("a pod is JSON");
    for field in [
        "serviceAccountName",
        "automountServiceAccountToken",
        "imagePullSecrets",
        "volumes",
        "securityContext",
        "nodeSelector",
        "tolerations",
        "affinity",
        "priorityClassName",
        "dnsConfig",
        "dnsPolicy",
        "hostAliases",
        "runtimeClassName",
    ] {
        if !from[field].is_null() {
            template[field] = from[field].clone();
        }
    }
    // Not the workload's labels: the Service would send it requests.
    let labels = json!({
        names::ENVIRONMENT: environment,
        names::WORKLOAD: names::with_suffix(home.name(), ""),
        names::JOB: name,
        names::SHA: spec.release.sha().as_str(),
    });
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": home.meta().namespace,
            "labels": labels,
            "annotations": { names::ROLLOUT: spec.rollout, names::IMAGE: image },
        },
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": spec.deadline_sec.max(1),
            "ttlSecondsAfterFinished": KEPT_SEC,
            "template": { "metadata": { "labels": labels }, "spec": template },
        },
    })
}
