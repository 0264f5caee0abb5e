//! What is asked of the engine for a replica, and how its answers are read.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;

fn identity() -> Identity {
    let image = format!("r.example/acme/payouts:{}@sha256:{}", "3f".repeat(20), "9a".repeat(32));
    Identity {
        name: "host-3f3f3f3f3f3f-7-0".into(),
        release: Release::new(image.parse().unwrap()),
        rollout: "r1".into(),
        generation: 7,
    }
}

fn body(env: &BTreeMap<String, String>) -> ContainerCreateBody {
    let identity = identity();
    Wanted {
        fleet: "f00d",
        environment: "host",
        identity: &identity,
        image: "sha256:00",
        address: "127.0.0.1:20001".parse().unwrap(),
        port: 8080,
        env,
        grace_sec: 7,
    }
    .body()
}

/// A container as an engine reports it, made of what we ask for.
fn found(state: &str, more: &str) -> ContainerInspectResponse {
    let labels = serde_json::to_value(body(&BTreeMap::new()).labels).unwrap();
    let more: serde_json::Value = serde_json::from_str(&format!("{{{more}}}")).unwrap();
    let mut inspected = serde_json::json!({
        "Name": "/host-3f3f3f3f3f3f-7-0",
        "Created": "2026-10-01T12:00:00.123456789Z",
        "RestartCount": 0,
        "State": { "Status": state, "ExitCode": 0, "Error": "", "OOMKilled": false },
        "Config": { "Labels": labels },
    });
    for (key, value) in more.as_object().unwrap() {
        match key.as_str() {
            "RestartCount" => inspected[key] = value.clone(),
            _ => inspected["State"][key] = value.clone(),
        }
    }
    serde_json::from_value(inspected).unwrap()
}

fn now() -> Timestamp {
    "2026-10-01T12:00:10Z".parse().unwrap()
}

fn look(state: &str, more: &str, noted: &Noted, lines: &[&str]) -> Look {
    let container = Container::read(&found(state, more)).unwrap();
    container.look(noted, Served::default(), now(), lines.iter().map(|&line| line.into()).collect())
}

/// Cause and message of a failing instance, or its state's name.
fn words(look: &Look) -> String {
    match look {
        Look::Probe => "probe".into(),
        Look::Is(InstanceState::Failing(why)) => format!("{:?}: {}", why.cause, why.message),
        Look::Is(InstanceState::Exited { message, .. }) => format!("exited: {message}"),
        Look::Is(state) => format!("{state:?}").to_lowercase(),
    }
}

#[test]
fn what_is_asked_for_is_found_again() {
    let env = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("PORT".into(), "99".into())]);
    let body = body(&env);
    assert_eq!(body.env.as_deref(), Some(["A=1".to_owned(), "PORT=8080".into()].as_slice()));
    assert_eq!(body.image.as_deref(), Some("sha256:00"));
    assert_eq!((body.user, body.cmd, body.entrypoint), (None, None, None));
    let host = body.host_config.unwrap();
    assert_eq!((host.privileged, host.log_config, host.binds, host.cap_add), (None, None, None, None));
    let ports = host.port_bindings.unwrap();
    let published = ports["8080/tcp"].as_ref().unwrap();
    assert_eq!(published[0].host_ip.as_deref(), Some("127.0.0.1"));
    assert_eq!(published[0].host_port.as_deref(), Some("20001"));

    let container = Container::read(&found("running", "")).unwrap();
    assert_eq!(container.identity, identity());
    assert_eq!(container.address, "127.0.0.1:20001".parse().unwrap());
    assert_eq!((container.fleet.as_str(), container.stop_signal.as_str()), ("f00d", "SIGTERM"));
}

#[test]
fn states_of_containers_that_never_were_ready() {
    let fresh = Noted::default();
    for (state, more, lines, expected) in [
        ("created", "", &[][..], "starting"),
        ("running", "", &[], "probe"),
        ("paused", "", &[], "ProbeFailed: it is paused"),
        ("restarting", r#""RestartCount": 2"#, &[], "starting"),
        (
            "restarting",
            r#""RestartCount": 3, "ExitCode": 1"#,
            &[],
            "CrashLoop: it exited with status 1, and was started again 3 times",
        ),
        ("exited", r#""ExitCode": 3"#, &["boom"], "ExitedAtOnce: it exited with status 3"),
        (
            "exited",
            r#""ExitCode": 137, "OOMKilled": true"#,
            &[],
            "ExitedAtOnce: it was ended by signal SIGKILL (status 137), out of memory",
        ),
        (
            "exited",
            r#""ExitCode": 1"#,
            &["exec /service: exec format error"],
            "CannotStart: it exited with status 1",
        ),
        // A service that merely speaks of files.
        (
            "exited",
            r#""ExitCode": 1"#,
            &["cannot open a.conf: no such file or directory"],
            "ExitedAtOnce: it exited with status 1",
        ),
        (
            "created",
            r#""ExitCode": 127, "Error": "exec: \"/x\": stat /x: no such file or directory""#,
            &[],
            "CannotStart: exec: \"/x\": stat /x: no such file or directory",
        ),
        (
            "created",
            r#""ExitCode": 128, "Error": "no space left on device""#,
            &[],
            "CannotBeScheduled: no space left on device",
        ),
        ("removing", "", &[], "drained"),
        ("dead", r#""ExitCode": 0"#, &[], "ExitedAtOnce: it exited with status 0"),
    ] {
        assert_eq!(words(&look(state, more, &fresh, lines)), expected, "{state} {more}");
    }
}

#[test]
fn a_container_that_was_never_started_is_not_waited_for() {
    let container = Container::read(&found("created", "")).unwrap();
    assert!(container.is_unstarted());
    let later = now() + SignedDuration::from_mins(5);
    let seen = container.look(&Noted::default(), Served::default(), later, vec![]);
    assert_eq!(words(&seen), "exited: it was created and never started");
}

#[test]
fn what_is_noted_decides_before_the_engine() {
    let ready = Noted { ready: true, ..Noted::default() };
    assert_eq!(
        words(&look("exited", r#""ExitCode": 143"#, &ready, &[])),
        "exited: it was ended by signal SIGTERM (status 143)"
    );
    let stopping = Noted { ready: true, stopping: true, ..Noted::default() };
    assert_eq!(words(&look("running", "", &stopping, &[])), "drained");
    let draining = Noted { draining: Some(now() + SignedDuration::from_secs(5)), ..Noted::default() };
    let container = |state| Container::read(&found(state, "")).unwrap();
    let later = Timestamp::now() + SignedDuration::from_mins(5);
    let draining = Noted { draining: draining.draining.max(Some(later)), ..draining };
    let busy = Served { routed: false, weight: 0, in_flight: 2 };
    assert_eq!(words(&container("running").look(&draining, busy, now(), vec![])), "draining");
    assert_eq!(words(&container("exited").look(&draining, busy, now(), vec![])), "drained");
    assert_eq!(words(&look("running", "", &draining, &[])), "drained");
    let refused = Refused { cause: Cause::CannotStart, message: "no".into() };
    let refused = Noted { refused: Some(refused), ..Noted::default() };
    assert_eq!(words(&look("created", "", &refused, &[])), "CannotStart: no");
}

#[test]
fn damaged_labels_are_told() {
    for (label, value) in
        [(IMAGE, "payouts:latest"), (GENERATION, "many"), (ADDRESS, "here"), (ROLLOUT, ""), (FLEET, "")]
    {
        let mut container = found("running", "");
        let labels = container.config.as_mut().unwrap().labels.as_mut().unwrap();
        match value {
            "" => labels.remove(label),
            _ => labels.insert(label.into(), value.into()),
        };
        assert!(Container::read(&container).unwrap_err().contains(label));
    }
    Container::read(&ContainerInspectResponse::default()).unwrap_err();
}

#[test]
fn refusals_to_start() {
    for (message, cause) in [
        ("OCI runtime create failed: exec: \"/x\": permission denied: unknown", Some(Cause::CannotStart)),
        ("unable to find user nobody: no matching entries in passwd file", Some(Cause::CannotStart)),
        ("failed to create shim task: no space left on device", Some(Cause::CannotBeScheduled)),
        ("context deadline exceeded", None),
        ("connection error: desc = \"transport: dial unix /run/containerd.sock: connection refused\"", None),
    ] {
        assert_eq!(start_failure(message), cause, "{message}");
    }
    assert!(port_taken("Bind for 127.0.0.1:20001 failed: port is already allocated"));
    assert!(port_taken("rootlessport listen tcp 127.0.0.1:20001: bind: address already in use"));
    assert!(!port_taken("no such port"));
}

#[test]
fn what_somebody_stopped_or_paused_is_told_from_what_ended() {
    let by_hand = |state: &str, policy: &str, noted: &Noted| {
        let mut found = found(state, r#""ExitCode": 137, "FinishedAt": "2026-10-01T12:00:05Z""#);
        found.host_config =
            Some(serde_json::from_value(serde_json::json!({ "RestartPolicy": { "Name": policy } })).unwrap());
        Container::read(&found).unwrap().by_hand(noted)
    };
    let ready = Noted { ready: true, ..Noted::default() };
    let stopped = by_hand("exited", "unless-stopped", &ready).unwrap();
    assert_eq!((stopped.way, stopped.expected.as_str()), (ByHand::Stopped, "running"));
    assert!(stopped.found.contains("SIGKILL") && stopped.at.is_some(), "{stopped:?}");
    assert_eq!(by_hand("paused", "no", &Noted::default()).unwrap().way, ByHand::Paused);
    for (state, policy, noted) in [
        ("running", "unless-stopped", &ready),
        // It ended by itself and is started again, or is not kept running yet.
        ("restarting", "unless-stopped", &ready),
        ("exited", "no", &ready),
        ("exited", "unless-stopped", &Noted::default()),
    ] {
        assert_eq!(by_hand(state, policy, noted), None, "{state} {policy}");
    }
}
