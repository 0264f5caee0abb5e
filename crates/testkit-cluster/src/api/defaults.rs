//! What the server fills in.

use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::object::{at, default, set, text};

/// Fills in what a client left out, of what tests look at.
pub(super) fn fill(kind: &Kind, object: &mut Value) {
    match kind.kind {
        "Deployment" => deployment(object),
        "ReplicaSet" => {
            default(object, "/spec/replicas", 1);
            template(object);
        }
        "StatefulSet" => stateful_set(object),
        "DaemonSet" => template(object),
        "Job" => job(object),
        "Pod" => {
            default(object, "/spec/enableServiceLinks", true);
            pod_spec(object, "/spec");
        }
        "Service" => service(object),
        "Secret" => default(object, "/type", "Opaque"),
        "PodDisruptionBudget" | "ConfigMap" | "Role" => {}
        "Namespace" => {
            let name = text(object, "/metadata/name").to_owned();
            default(object, "/spec/finalizers", json!(["kubernetes"]));
            default(object, "/status/phase", "Active");
            set(object, "/metadata/labels/kubernetes.io~1metadata.name", name);
        }
        "HorizontalPodAutoscaler" => default(object, "/spec/minReplicas", 1),
        "Event" => default(object, "/type", "Normal"),
        _ => {}
    }
}

fn deployment(object: &mut Value) {
    default(object, "/spec/replicas", 1);
    default(object, "/spec/strategy/type", "RollingUpdate");
    if text(object, "/spec/strategy/type") == "RollingUpdate" {
        default(object, "/spec/strategy/rollingUpdate/maxUnavailable", "25%");
        default(object, "/spec/strategy/rollingUpdate/maxSurge", "25%");
    }
    default(object, "/spec/revisionHistoryLimit", 10);
    default(object, "/spec/progressDeadlineSeconds", 600);
    template(object);
}

fn stateful_set(object: &mut Value) {
    default(object, "/spec/replicas", 1);
    default(object, "/spec/podManagementPolicy", "OrderedReady");
    default(object, "/spec/updateStrategy/type", "RollingUpdate");
    if text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
        default(object, "/spec/updateStrategy/rollingUpdate/partition", 0);
    }
    default(object, "/spec/revisionHistoryLimit", 10);
    default(
        object,
        "/spec/persistentVolumeClaimRetentionPolicy",
        json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
    );
    template(object);
}

fn job(object: &mut Value) {
    default(object, "/spec/backoffLimit", 6);
    default(object, "/spec/completionMode", "NonIndexed");
    default(object, "/spec/suspend", false);
    default(object, "/spec/manualSelector", false);
    default(object, "/spec/podReplacementPolicy", "TerminatingOrFailed");
    if at(object, "/spec/completions").is_null() && at(object, "/spec/parallelism").is_null() {
        default(object, "/spec/completions", 1);
    }
    default(object, "/spec/parallelism", 1);
    template(object);
}

fn template(object: &mut Value) {
    if at(object, "/spec/template/metadata").is_null() {
        set(object, "/spec/template/metadata", json!({}));
    }
    pod_spec(object, "/spec/template/spec");
}

fn pod_spec(object: &mut Value, spec: &str) {
    let Some(spec) = object.pointer_mut(spec).filter(|spec| spec.is_object()) else { return };
    default(spec, "/restartPolicy", "Always");
    default(spec, "/terminationGracePeriodSeconds", 30);
    default(spec, "/dnsPolicy", "ClusterFirst");
    default(spec, "/schedulerName", "default-scheduler");
    default(spec, "/securityContext", json!({}));
    let account = text(spec, "/serviceAccountName").to_owned();
    if !account.is_empty() {
        default(spec, "/serviceAccount", account);
    }
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            fill_container(container);
        }
    }
    for volume in spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        for source in ["configMap", "secret", "projected", "downwardAPI"] {
            if volume.get(source).is_some() {
                default(volume, &format!("/{source}/defaultMode"), 420);
            }
        }
    }
}

fn fill_container(container: &mut Value) {
    let image = text(container, "/image").to_owned();
    let name = image.rsplit('/').next().unwrap_or_default();
    let latest = !image.contains('@') && (!name.contains(':') || name.ends_with(":latest"));
    default(container, "/imagePullPolicy", if latest { "Always" } else { "IfNotPresent" });
    default(container, "/terminationMessagePath", "/dev/termination-log");
    default(container, "/terminationMessagePolicy", "File");
    default(container, "/resources", json!({}));
    for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        default(port, "/protocol", "TCP");
    }
    for source in container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
        if !at(source, "/valueFrom/fieldRef").is_null() {
            default(source, "/valueFrom/fieldRef/apiVersion", "v1");
        }
    }
    for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(probe).filter(|probe| probe.is_object()) else { continue };
        default(probe, "/timeoutSeconds", 1);
        default(probe, "/periodSeconds", 10);
        default(probe, "/successThreshold", 1);
        default(probe, "/failureThreshold", 3);
        if !at(probe, "/httpGet").is_null() {
            default(probe, "/httpGet/scheme", "HTTP");
            default(probe, "/httpGet/path", "/");
        }
    }
}

fn service(object: &mut Value) {
    default(object, "/spec/type", "ClusterIP");
    default(object, "/spec/sessionAffinity", "None");
    default(object, "/spec/internalTrafficPolicy", "Cluster");
    for port in object.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
        default(port, "/protocol", "TCP");
        let number = port["port"].clone();
        default(port, "/targetPort", number);
    }
}
