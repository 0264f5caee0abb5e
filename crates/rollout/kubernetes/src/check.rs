//! What must be so before anything moves, and what is only worth saying.
//! Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Service};
use plimsoll_model::Strategy;

use crate::error::KubernetesError;
use crate::names;
use crate::workload::Workload;

/// Refuses what cannot be rolled out as asked.
///
/// # Errors
/// What does not fit, and what to do.
pub(crate) fn suitable(
    home: &Workload,
    service: &Service,
    container: &str,
    strategy: Strategy,
) -> Result<(), KubernetesError> {
    let object = format!("{} {}", home.kind(), home.name());
    let unsuitable = |reason: &str, hint: String| {
        Err(KubernetesError::Unsuitable { object: object.clone(), reason: reason.into(), hint })
    };
    if home.container(container).is_none() {
        let names = home.pod_spec().map(|spec| spec.containers.iter().map(|c| c.name.clone()).collect());
        return Err(KubernetesError::NoContainer {
            workload: object,
            container: container.into(),
            known: names.unwrap_or_default(),
        });
    }
    let kind = home.kind();
    let name = home.name();
    if let Some(owner) = crate::view::controller(home.meta()) {
        let (kind, name) = (&owner.kind, &owner.name);
        let reason = format!(
            "its controller is {kind} {name} ({}), which would set the image back",
            owner.api_version
        );
        return unsuitable(
            &reason,
            format!("change the image in {kind} {name}, or name a workload that nobody else drives"),
        );
    }
    if home.replicas() == 0 {
        let hint = format!("`kubectl scale {kind} {name} --replicas=2`, or let its autoscaler do it");
        return unsuitable("it is scaled to zero, so nothing of it would ever be ready", hint);
    }
    match home {
        Workload::Deployment(deployment) => {
            let spec = deployment.spec.as_ref();
            if spec.is_some_and(|spec| spec.paused == Some(true)) {
                let hint = format!("`kubectl rollout resume deployment {name}`");
                return unsuitable("it is paused, so its pods would not be replaced", hint);
            }
            let recreates = spec.and_then(|spec| spec.strategy.as_ref()).and_then(|s| s.type_.as_deref());
            if recreates == Some("Recreate") {
                let reason = "its strategy is Recreate: all pods end before new ones start";
                return unsuitable(
                    reason,
                    "set `spec.strategy.type: RollingUpdate` if it may run twice".into(),
                );
            }
        }
        Workload::StatefulSet(_) if strategy == Strategy::BlueGreen => {
            let reason = "it is a StatefulSet, whose pods have identities that cannot exist twice";
            return unsuitable(reason, "set `strategy = \"rolling\"` in the environment".into());
        }
        Workload::StatefulSet(set) => {
            let on_delete = set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
            if on_delete.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete") {
                let reason = "its update strategy is OnDelete: pods are only replaced by hand";
                return unsuitable(reason, "set `spec.updateStrategy.type: RollingUpdate`".into());
            }
        }
    }
    selected(home, service, &object)
}

/// The Service must send its requests to the workload's pods.
fn selected(home: &Workload, service: &Service, object: &str) -> Result<(), KubernetesError> {
    let name = service.metadata.name.clone().unwrap_or_default();
    let spec = service.spec.clone().unwrap_or_default();
    if spec.type_.as_deref() == Some("ExternalName") {
        return Err(KubernetesError::Unsuitable {
            object: format!("service {name}"),
            reason: "it is of type ExternalName and sends requests elsewhere".into(),
            hint: "set `service` to the Service in front of the pods".into(),
        });
    }
    let mut selector = spec.selector.unwrap_or_default();
    // Ours; a rollout that is under way may have bound it to either.
    selector.remove(names::SLOT);
    let labels = home.pod_labels();
    if selector.is_empty() || !crate::view::matches(&selector, Some(&labels)) {
        return Err(KubernetesError::Selector {
            service: name,
            workload: object.into(),
            selector: words(&selector),
            labels: words(&labels),
        });
    }
    Ok(())
}

/// Labels as a person writes them.
pub(crate) fn words(labels: &BTreeMap<String, String>) -> String {
    if labels.is_empty() {
        return "no label".into();
    }
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// What a person should know before the first rollout: fields that stay
/// theirs and without which requests are lost or a bad release is not seen.
pub(crate) fn warnings(home: &Workload, container: &str, drain_sec: u32) -> Vec<String> {
    let mut warnings = Vec::new();
    let (Some(pod), Some(own)) = (home.pod_spec(), home.container(container)) else { return warnings };
    let at = format!("container {container} of {} {}", home.kind(), home.name());
    if own.readiness_probe.is_none() {
        warnings.push(format!(
            "{at} has no readinessProbe: a pod counts as ready as soon as its process runs; add one that answers \
             only when requests can be served"
        ));
    }
    let has_pre_stop = own.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.pre_stop.is_some());
    if !has_pre_stop {
        warnings.push(format!(
            "{at} has no preStop: a pod that is asked to end may still get requests for a moment; add `lifecycle: \
             {{preStop: {{sleep: {{seconds: 5}}}}}}`"
        ));
    }
    let min_ready = match home {
        Workload::Deployment(deployment) => deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds),
        Workload::StatefulSet(set) => set.spec.as_ref().and_then(|spec| spec.min_ready_seconds),
    };
    if min_ready.unwrap_or(0) == 0 {
        warnings.push(format!(
            "{} {} has no minReadySeconds: a release whose pods get ready and crash a moment later replaces every pod \
             before that is seen; add `minReadySeconds: 3`",
            home.kind(),
            home.name()
        ));
    }
    let grace = pod.termination_grace_period_seconds.unwrap_or(30);
    if grace < i64::from(drain_sec) {
        warnings.push(format!(
            "terminationGracePeriodSeconds of {} {} is {grace}, less than `drain_timeout` ({drain_sec} s): a pod is \
             killed before its requests may take that long",
            home.kind(),
            home.name()
        ));
    }
    warnings.extend(same_image(pod.containers.iter(), pod.init_containers.iter().flatten(), own));
    warnings
}

/// Refuses a container that nobody chose where others run the same image.
///
/// # Errors
/// Their names.
pub(crate) fn unambiguous(home: &Workload, container: &str) -> Result<(), KubernetesError> {
    let (Some(pod), Some(own)) = (home.pod_spec(), home.container(container)) else { return Ok(()) };
    let others = of_the_same_image(pod.containers.iter(), own);
    if others.is_empty() {
        return Ok(());
    }
    let alike = [own.name.clone()].into_iter().chain(others.into_iter().map(Into::into)).collect();
    Err(KubernetesError::Ambiguous { workload: format!("{} {}", home.kind(), home.name()), alike })
}

/// Other containers of the same repository keep their image: only one is told
/// to change.
fn same_image<'a>(
    containers: impl Iterator<Item = &'a Container>,
    init: impl Iterator<Item = &'a Container>,
    own: &Container,
) -> Option<String> {
    let others = of_the_same_image(containers.chain(init), own);
    (!others.is_empty()).then(|| {
        format!(
            "{} has its image from the same repository as {} and keeps the one it has: only `container` is rolled \
             out",
            others.join(", "),
            own.name
        )
    })
}

fn of_the_same_image<'a>(all: impl Iterator<Item = &'a Container>, own: &Container) -> Vec<&'a str> {
    let repository = own.image.as_deref().map(repository_of);
    all.filter(|other| other.name != own.name)
        .filter(|other| repository.is_some() && other.image.as_deref().map(repository_of) == repository)
        .map(|other| other.name.as_str())
        .collect()
}

/// A reference without tag and digest.
fn repository_of(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_model::Diagnose as _;
    use serde_json::{Value, json};

    use super::*;

    fn deployment(change: impl FnOnce(&mut Value)) -> Workload {
        let mut object = json!({
            "metadata": { "name": "payouts" },
            "spec": {
                "replicas": 2,
                "minReadySeconds": 3,
                "selector": { "matchLabels": { "app": "payouts" } },
                "template": {
                    "metadata": { "labels": { "app": "payouts", "team": "a" } },
                    "spec": { "containers": [{
                        "name": "payouts", "image": "r.example:5000/payouts:1",
                        "readinessProbe": { "httpGet": { "path": "/healthz", "port": 8080 } },
                        "lifecycle": { "preStop": { "sleep": { "seconds": 5 } } },
                    }] },
                },
            },
        });
        change(&mut object);
        Workload::Deployment(serde_json::from_value(object).unwrap())
    }

    fn service(spec: Value) -> Service {
        serde_json::from_value(json!({ "metadata": { "name": "payouts" }, "spec": spec })).unwrap()
    }

    fn good() -> Service {
        service(json!({ "selector": { "app": "payouts", names::SLOT: "candidate" } }))
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_code() {
        let fits = suitable(&deployment(|_| {}), &good(), "payouts", Strategy::BlueGreen);
        assert!(fits.is_ok(), "{fits:?}");
        let code = |workload: &Workload, service: &Service, container: &str| {
            suitable(workload, service, container, Strategy::Rolling).unwrap_err().code()
        };
        let plain = deployment(|_| {});
        assert_eq!(code(&plain, &good(), "web"), "KUB-008");
        assert_eq!(code(&plain, &service(json!({ "selector": { "app": "payoutz" } })), "payouts"), "KUB-010");
        assert_eq!(code(&plain, &service(json!({})), "payouts"), "KUB-010");
        assert_eq!(code(&plain, &service(json!({ "type": "ExternalName" })), "payouts"), "KUB-011");
        for (path, value) in [
            ("/spec/replicas", json!(0)),
            ("/spec/paused", json!(true)),
            ("/spec/strategy", json!({ "type": "Recreate" })),
        ] {
            let workload = deployment(|object| {
                let (parent, key) = path.rsplit_once('/').unwrap();
                object.pointer_mut(parent).unwrap()[key] = value;
            });
            assert_eq!(code(&workload, &good(), "payouts"), "KUB-011", "{path}");
        }
    }

    #[test]
    fn a_workload_that_somebody_else_drives_is_refused() {
        let owned = |controller: bool| {
            deployment(|object| {
                object["metadata"]["ownerReferences"] = json!([{
                    "apiVersion": "acme.example/v1", "kind": "Shop", "name": "front", "uid": "1", "controller": controller,
                }]);
            })
        };
        let error = suitable(&owned(true), &good(), "payouts", Strategy::Rolling).unwrap_err();
        assert_eq!(error.code(), "KUB-011");
        assert!(error.to_string().contains("its controller is Shop front (acme.example/v1)"), "{error}");
        assert!(suitable(&owned(false), &good(), "payouts", Strategy::Rolling).is_ok());
    }

    #[test]
    fn a_container_that_nobody_chose_is_refused_where_another_runs_its_image() {
        let beside = |list: &'static str, image: &'static str| {
            deployment(move |object| {
                let spec = &mut object["spec"]["template"]["spec"];
                let other = json!({ "name": "worker", "image": image });
                match spec[list].as_array_mut() {
                    Some(there) => there.push(other),
                    None => spec[list] = json!([other]),
                }
            })
        };
        let error = unambiguous(&beside("containers", "r.example:5000/payouts:2"), "payouts").unwrap_err();
        assert_eq!((error.code(), error.expected().as_deref()), ("KUB-008", Some("one of payouts, worker")));
        assert!(unambiguous(&beside("containers", "r.example:5000/payouts/worker:2"), "payouts").is_ok());
        // It prepares the pod, and is no container to roll out.
        assert!(unambiguous(&beside("initContainers", "r.example:5000/payouts:2"), "payouts").is_ok());
    }

    #[test]
    fn a_selector_that_matches_nothing_shows_both_sides() {
        let service = service(json!({ "selector": { "app": "payoutz" } }));
        let error = suitable(&deployment(|_| {}), &service, "payouts", Strategy::Rolling).unwrap_err();
        assert_eq!(error.expected().as_deref(), Some("app=payouts,team=a"));
        assert_eq!(error.found().as_deref(), Some("app=payoutz"));
    }

    #[test]
    fn what_is_the_users_to_write_is_warned_about() {
        assert_eq!(warnings(&deployment(|_| {}), "payouts", 30), Vec::<String>::new());
        let bare = deployment(|object| {
            object["spec"].as_object_mut().unwrap().remove("minReadySeconds");
            let containers = &mut object["spec"]["template"]["spec"]["containers"];
            let own = containers[0].as_object_mut().unwrap();
            own.remove("readinessProbe");
            own.remove("lifecycle");
            let beside = json!({ "name": "worker", "image": "r.example:5000/payouts@sha256:00" });
            containers.as_array_mut().unwrap().push(beside);
        });
        let said = warnings(&bare, "payouts", 60);
        assert_eq!(said.len(), 5, "{said:#?}");
        for words in ["readinessProbe", "preStop", "minReadySeconds", "drain_timeout", "worker has its image"]
        {
            assert!(said.iter().any(|line| line.contains(words)), "{words}");
        }
    }
}
