//! Statuses and events as the kubelet, the scheduler and controllers write
//! them; written by hand after the fields that they set.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

fn pod(status: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": "payouts-1", "uid": "u1", "creationTimestamp": "2026-11-25T12:00:00Z" },
        "spec": { "nodeName": "node-1", "containers": [{ "name": "payouts", "image": "r.example/payouts@sha256:00" }] },
        "status": status,
    }))
    .unwrap()
}

fn container(state: Value, last: Value, restarts: i32) -> Value {
    json!({
        "phase": "Running",
        "conditions": [{ "type": "Ready", "status": "False", "reason": "ContainersNotReady" },
                       { "type": "PodScheduled", "status": "True" }],
        "containerStatuses": [{
            "name": "payouts", "image": "r.example/payouts@sha256:00", "imageID": "", "ready": false,
            "restartCount": restarts, "state": state, "lastState": last,
        }],
    })
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({ "waiting": { "reason": reason, "message": message } })
}

fn ended(code: i32, reason: &str) -> Value {
    json!({ "terminated": { "exitCode": code, "reason": reason } })
}

fn event(reason: &str, message: &str, at: &str, count: i32) -> Event {
    serde_json::from_value(json!({
        "metadata": { "name": reason.to_lowercase() },
        "involvedObject": { "kind": "Pod", "name": "payouts-1", "uid": "u1" },
        "reason": reason, "message": message, "type": "Warning", "count": count, "lastTimestamp": at,
    }))
    .unwrap()
}

/// Status and events, and what is to be said of them: cause, whether it may
/// heal, a part of the message.
#[test]
fn each_status_has_its_cause() {
    let none = || json!({});
    let running = || json!({ "running": {} });
    let at = "2026-11-25T12:00:05Z";
    let pull_denied = "failed to pull and unpack image: pull access denied, repository does not exist";
    let pull_later = "failed to pull image: dial tcp 192.0.2.1:443: i/o timeout";
    let unhealthy = "Readiness probe failed: HTTP probe failed with statuscode: 503";
    let scheduler = "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available";
    let unscheduled = json!({
        "phase": "Pending",
        "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": scheduler }],
    });
    type Said = Option<(Cause, bool, &'static str)>;
    let cases: Vec<(&str, Value, Vec<Event>, Said)> = vec![
        (
            "denied",
            container(waiting("ErrImagePull", pull_denied), none(), 0),
            vec![],
            Some((Cause::ImageUnavailable, false, "pull access denied")),
        ),
        (
            "a line that is down",
            container(waiting("ErrImagePull", pull_later), none(), 0),
            vec![],
            Some((Cause::ImageUnavailable, true, "i/o timeout")),
        ),
        (
            "the back-off after a denial",
            container(waiting("ImagePullBackOff", "Back-off pulling image \"r.example/payouts\""), none(), 0),
            vec![event("Failed", &format!("Failed to pull image: {pull_denied}"), at, 2)],
            Some((Cause::ImageUnavailable, false, "pull access denied")),
        ),
        (
            "a back-off that nothing explains",
            container(waiting("ImagePullBackOff", "Back-off pulling image \"r.example/payouts\""), none(), 0),
            vec![],
            Some((Cause::ImageUnavailable, true, "Back-off")),
        ),
        (
            "a secret that is not there",
            container(waiting("CreateContainerConfigError", "secret \"payouts-db\" not found"), none(), 0),
            vec![],
            Some((Cause::CannotStart, false, "secret \"payouts-db\" not found")),
        ),
        (
            "no such entrypoint",
            container(
                waiting("RunContainerError", "exec: \"/payouts\": no such file or directory"),
                none(),
                0,
            ),
            vec![],
            Some((Cause::CannotStart, false, "no such file")),
        ),
        (
            "ended once",
            container(ended(1, "Error"), none(), 0),
            vec![],
            Some((Cause::ExitedAtOnce, true, "exited with status 1")),
        ),
        (
            "ends again",
            container(waiting("CrashLoopBackOff", "back-off 10s"), ended(2, "Error"), 1),
            vec![],
            Some((Cause::ExitedAtOnce, false, "exited with status 2, and was started again once")),
        ),
        (
            "ends again and again",
            container(waiting("CrashLoopBackOff", "back-off 40s"), ended(139, "Error"), 4),
            vec![],
            Some((Cause::CrashLoop, false, "signal 11, and was started again 4 times")),
        ),
        (
            "too much memory",
            container(running(), ended(137, "OOMKilled"), 1),
            vec![],
            Some((Cause::ExitedAtOnce, false, "OOMKilled")),
        ),
        (
            "cannot be started",
            container(waiting("CrashLoopBackOff", ""), ended(128, "StartError"), 1),
            vec![],
            Some((Cause::CannotStart, false, "StartError")),
        ),
        (
            "a probe says no",
            container(running(), none(), 0),
            vec![event("Unhealthy", unhealthy, at, 3)],
            Some((Cause::ProbeFailed, false, "statuscode: 503")),
        ),
        ("nobody has probed yet", container(running(), none(), 0), vec![], None),
        ("is being pulled", container(waiting("ContainerCreating", ""), none(), 0), vec![], None),
        (
            "no room",
            unscheduled.clone(),
            vec![],
            Some((Cause::CannotBeScheduled, true, "3 Insufficient memory")),
        ),
        (
            "a machine is on its way",
            unscheduled,
            vec![event("TriggeredScaleUp", "pod triggered scale-up", at, 1)],
            None,
        ),
        (
            "evicted",
            json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory." }),
            vec![],
            Some((
                Cause::CannotBeScheduled,
                false,
                "evicted from node-1: The node was low on resource: memory.",
            )),
        ),
        (
            "its node is silent",
            json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "Unknown" }] }),
            vec![],
            Some((Cause::Lost, true, "node-1, on which it runs, does not answer")),
        ),
        (
            "taken off a lost node",
            json!({ "phase": "Running", "conditions": [{ "type": "DisruptionTarget", "status": "True",
             "reason": "DeletionByTaintManager", "message": "Taint manager: deleting due to NoExecute taint" }] }),
            vec![],
            Some((Cause::Lost, true, "lost with its node node-1")),
        ),
    ];
    for (name, status, events, expected) in cases {
        let found = diagnose(&pod(status), &events);
        let seen = found.as_ref().map(|f| (f.cause, f.heals));
        assert_eq!(seen, expected.map(|(cause, heals, _)| (cause, heals)), "{name}: {found:?}");
        if let (Some(found), Some((_, _, words))) = (found, expected) {
            assert!(found.message.contains(words), "{name}: {}", found.message);
        }
    }
}

#[test]
fn the_output_that_explains_is_that_of_the_run_that_failed() {
    let of = |status| diagnose(&pod(status), &[]).map(|f| (f.container, f.previous));
    let payouts = Some("payouts".to_owned());
    assert_eq!(of(container(ended(1, "Error"), json!({}), 0)), Some((payouts.clone(), false)));
    let again = container(waiting("CrashLoopBackOff", ""), ended(1, "Error"), 2);
    assert_eq!(of(again), Some((payouts, true)));
    assert_eq!(of(container(waiting("ErrImagePull", "denied"), json!({}), 0)), Some((None, false)));
}

#[test]
fn an_init_container_comes_first() {
    let mut status = container(json!({ "waiting": { "reason": "PodInitializing" } }), json!({}), 0);
    status["initContainerStatuses"] = json!([
        { "name": "done", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
          "state": { "terminated": { "exitCode": 0, "reason": "Completed" } } },
        { "name": "wait", "image": "i", "imageID": "", "ready": false, "restartCount": 2,
          "state": { "waiting": { "reason": "CrashLoopBackOff" } },
          "lastState": { "terminated": { "exitCode": 7, "reason": "Error" } } },
    ]);
    let found = diagnose(&pod(status), &[]).unwrap();
    assert_eq!((found.cause, found.container.as_deref()), (Cause::ExitedAtOnce, Some("wait")));
}

#[test]
fn pods_that_are_not_made_are_told_apart() {
    for (said, cause, heals) in [
        (
            "pods \"payouts-1\" is forbidden: exceeded quota: team, requested: pods=1, used: pods=5, limited: pods=5",
            Cause::CannotBeScheduled,
            true,
        ),
        (
            "pods \"payouts-1\" is forbidden: failed quota: team: must specify limits.memory for: payouts",
            Cause::CannotBeScheduled,
            false,
        ),
        (
            "admission webhook \"policy.example\" denied the request: image is not signed",
            Cause::NotAdmitted,
            false,
        ),
        (
            "pods \"payouts-1\" is forbidden: violates PodSecurity \"restricted:latest\"",
            Cause::NotAdmitted,
            false,
        ),
        (
            "Internal error occurred: failed calling webhook \"policy.example\": context deadline exceeded",
            Cause::NotAdmitted,
            true,
        ),
        (
            "pods \"payouts-1\" is forbidden: error looking up service account a/b: serviceaccount \"b\" not found",
            Cause::CannotStart,
            false,
        ),
    ] {
        let found = refused(said);
        assert_eq!((found.cause, found.heals), (cause, heals), "{said}");
        assert!(found.message.contains(&said[said.len() - 20..]), "{}", found.message);
    }
}

#[test]
fn events_are_the_newest_few_oldest_first() {
    let mut events: Vec<Event> = (0..20)
        .map(|n| event("Pulling", &format!("try {n}"), &format!("2026-11-25T12:00:{n:02}Z"), 1))
        .collect();
    events.reverse();
    let lines = event_lines(&events);
    assert_eq!(lines.len(), MOST_EVENTS);
    assert_eq!((lines[0].as_str(), lines[7].as_str()), ("event: Pulling: try 12", "event: Pulling: try 19"));
    let line = event_lines(&[event("BackOff", "Back-off\n restarting\u{1b}[31m", "2026-11-25T12:00:00Z", 4)]);
    assert_eq!(line, ["event: BackOff (x4): Back-off restarting[31m"]);
}

#[test]
fn nonsense_in_a_status_is_no_panic() {
    for status in [
        json!({}),
        json!({ "phase": "Running", "containerStatuses": [{ "name": "", "image": "", "imageID": "", "ready": false,
            "restartCount": -5, "state": {}, "lastState": {} }] }),
        json!({ "phase": "Nothing", "reason": "é".repeat(1_000), "message": "\u{0}".repeat(5_000) }),
    ] {
        let _ = diagnose(&pod(status), &[]);
    }
    let long = shortened(&format!("{} connection refused", "é ".repeat(1_000)));
    assert_eq!(long.chars().count(), LONGEST_MESSAGE + 3);
    assert!(
        long.starts_with("é é") && long.ends_with("connection refused"),
        "the cause is at the end: {long}"
    );
}
