//! What the server refuses as invalid: of its many rules, those that a client
//! of workloads runs into.

use serde_json::Value;

use crate::failure::Failure;
use crate::kinds::Kind;
use crate::object::{at, list, name, text};
use crate::selector::selects;

type Cause = (&'static str, String, String);

const IMMUTABLE: &str = "field is immutable";

/// Whether a new object is sound.
pub(super) fn new(kind: &Kind, object: &Value) -> Result<(), Failure> {
    let mut causes: Vec<Cause> = Vec::new();
    if !is_dns_name(name(object)) && kind.group != "rbac.authorization.k8s.io" {
        causes.push((
            "FieldValueInvalid",
            "metadata.name".into(),
            format!(
                "Invalid value: {:?}: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                 characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', \
                 regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
                name(object)
            ),
        ));
    }
    match kind.kind {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => workload(object, &mut causes),
        "Job" => pod(at(object, "/spec/template/spec"), "spec.template.spec.containers", &mut causes),
        "Pod" => pod(at(object, "/spec"), "spec.containers", &mut causes),
        "Service" if list(object, "/spec/ports").is_empty() && text(object, "/spec/clusterIP") != "None" => {
            causes.push(("FieldValueRequired", "spec.ports".into(), "Required value".into()));
        }
        _ => {}
    }
    if causes.is_empty() { Ok(()) } else { Err(Failure::invalid(kind, name(object), &causes)) }
}

/// Whether an object may become this one.
pub(super) fn update(kind: &Kind, before: &Value, after: &Value) -> Result<(), Failure> {
    new(kind, after)?;
    let mut causes: Vec<Cause> = Vec::new();
    let changed = |pointer: &str| at(before, pointer) != at(after, pointer);
    let invalid = |value: &Value| format!("Invalid value: {value}: {IMMUTABLE}");
    match kind.kind {
        "Deployment" | "ReplicaSet" if changed("/spec/selector") => {
            causes.push(("FieldValueInvalid", "spec.selector".into(), invalid(at(after, "/spec/selector"))));
        }
        "Job" if changed("/spec/template") => {
            causes.push(("FieldValueInvalid", "spec.template".into(), invalid(at(after, "/spec/template"))));
        }
        "StatefulSet" if stateful_set_changed(before, after) => causes.push((
            "FieldValueForbidden",
            "spec".into(),
            "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
             'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
             'minReadySeconds' are forbidden"
                .into(),
        )),
        "Pod" if pod_changed(before, after) => causes.push((
            "FieldValueForbidden",
            "spec".into(),
            "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,\
             `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
             existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
             previously negative)"
                .into(),
        )),
        "RoleBinding" | "ClusterRoleBinding" if changed("/roleRef") => {
            causes.push(("FieldValueInvalid", "roleRef".into(), format!("Invalid value: {}: cannot change roleRef", at(after, "/roleRef"))));
        }
        "ConfigMap" | "Secret" if at(before, "/immutable") == true && (changed("/data") || changed("/immutable")) => {
            causes.push(("FieldValueForbidden", "data".into(), "Forbidden: field is immutable when `immutable` is set".into()));
        }
        _ => {}
    }
    if causes.is_empty() { Ok(()) } else { Err(Failure::invalid(kind, name(after), &causes)) }
}

fn workload(object: &Value, causes: &mut Vec<Cause>) {
    if at(object, "/spec/selector").is_null() {
        causes.push(("FieldValueRequired", "spec.selector".into(), "Required value".into()));
    } else if !selects(at(object, "/spec/selector"), at(object, "/spec/template/metadata/labels")) {
        causes.push((
            "FieldValueInvalid",
            "spec.template.metadata.labels".into(),
            format!(
                "Invalid value: {}: `selector` does not match template `labels`",
                at(object, "/spec/template/metadata/labels")
            ),
        ));
    }
    if at(object, "/spec/replicas").as_i64().is_some_and(|replicas| replicas < 0) {
        causes.push((
            "FieldValueInvalid",
            "spec.replicas".into(),
            format!("Invalid value: {}: must be greater than or equal to 0", at(object, "/spec/replicas")),
        ));
    }
    if let (Some(unavailable), Some(surge)) = (
        at(object, "/spec/strategy/rollingUpdate").get("maxUnavailable"),
        at(object, "/spec/strategy/rollingUpdate").get("maxSurge"),
    ) {
        let zero = |value: &Value| *value == 0 || *value == "0%" || *value == "0";
        if zero(unavailable) && zero(surge) {
            causes.push((
                "FieldValueInvalid",
                "spec.strategy.rollingUpdate.maxUnavailable".into(),
                "Invalid value: 0: may not be 0 when `maxSurge` is 0".into(),
            ));
        }
    }
    pod(at(object, "/spec/template/spec"), "spec.template.spec.containers", causes);
}

fn pod(spec: &Value, field: &'static str, causes: &mut Vec<Cause>) {
    let containers = list(spec, "/containers");
    if containers.is_empty() {
        causes.push(("FieldValueRequired", field.into(), "Required value".into()));
    }
    for (index, container) in containers.iter().enumerate() {
        if text(container, "/name").is_empty() {
            causes.push(("FieldValueRequired", format!("{field}[{index}].name"), "Required value".into()));
        }
        if text(container, "/image").is_empty() {
            causes.push(("FieldValueRequired", format!("{field}[{index}].image"), "Required value".into()));
        }
        if containers.iter().take(index).any(|other| other["name"] == container["name"]) {
            causes.push((
                "FieldValueDuplicate",
                format!("{field}[{index}].name"),
                format!("Duplicate value: {}", container["name"]),
            ));
        }
    }
}

fn stateful_set_changed(before: &Value, after: &Value) -> bool {
    let free = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    without(at(before, "/spec"), &free) != without(at(after, "/spec"), &free)
}

fn pod_changed(before: &Value, after: &Value) -> bool {
    let rest = |pod: &Value| {
        let mut spec =
            without(at(pod, "/spec"), &["activeDeadlineSeconds", "tolerations", "ephemeralContainers"]);
        for list in ["containers", "initContainers"] {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                container["image"] = Value::Null;
            }
        }
        spec
    };
    rest(before) != rest(after)
}

fn without(spec: &Value, fields: &[&str]) -> Value {
    let mut spec = spec.clone();
    if let Some(map) = spec.as_object_mut() {
        map.retain(|name, _| !fields.contains(&name.as_str()));
    }
    spec
}

fn is_dns_name(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(part)
}
