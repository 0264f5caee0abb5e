//! Odd answers of a scripted engine: one answer for each request, by method
//! and the beginning of its path.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use plimsoll_model::{Diagnose, Lookup, Release, Secret, Silent};
use plimsoll_oci::Layout;
use plimsoll_rollout_core::fleet::{FleetOps, FleetRecord, InstanceState};
use plimsoll_rollout_core::{Cause, Desired, Fence, Traffic};
use plimsoll_rollout_engine::{ByHand, Credential, EngineError, EngineFleet, Options};
use plimsoll_rollout_switch::Control;

use crate::images::Nowhere;

const VERSION: (&str, u16, &str) = ("GET /version", 200, r#"{"ApiVersion":"1.41","Version":"20.10"}"#);

/// An engine that answers by a script, and what it was asked.
struct Engine {
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Engine {
    /// Requests that no line fits are answered with 404.
    fn scripted(script: &[(&str, u16, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("engine.sock")).unwrap();
        let script: Vec<(String, u16, String)> =
            script.iter().map(|&(asked, status, body)| (asked.into(), status, body.into())).collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, log) = (script.clone(), Arc::clone(&log));
                std::thread::spawn(move || answer(stream, &script, &log));
            }
        });
        Self { folder, asked }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("engine.sock")
    }

    fn fleet(&self) -> EngineFleet {
        fleet(&self.folder, self.socket())
    }

    fn asked(&self, what: &str) -> Option<String> {
        self.asked.lock().unwrap().iter().find(|request| request.starts_with(what)).cloned()
    }
}

fn fleet(folder: &tempfile::TempDir, socket: PathBuf) -> EngineFleet {
    let options = Options {
        environment: "host".into(),
        folder: folder.path().join("state"),
        socket,
        port: 8080,
        health: "/healthz".into(),
        env_file: None,
        grace_sec: 1,
    };
    EngineFleet::open(options, Control::new(&folder.path().join("switch"))).unwrap()
}

fn answer(mut stream: UnixStream, script: &[(String, u16, String)], log: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(n) => request.extend_from_slice(&buffer[..n]),
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    log.lock().unwrap().push(request.clone());
    let found = script.iter().find(|(asked, ..)| request.starts_with(asked.as_str()));
    let (status, body) =
        found.map_or((404, r#"{"message":"no such thing"}"#), |(_, status, body)| (*status, body));
    // The beginning of an answer that never ends.
    let length = if body == "half" { 100 } else { body.len() };
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

fn release() -> Release {
    let image = format!("r.example/acme/payouts:{}@sha256:{}", "3f".repeat(20), "9a".repeat(32));
    Release::new(image.parse().unwrap())
}

fn desired() -> Desired {
    Desired {
        environment: "host".into(),
        rollout: "r1".into(),
        generation: 1,
        stable: None,
        candidate: None,
        traffic: Traffic::Candidate,
        max_unavailable: 1,
        max_surge: 1,
        replicas: 1,
        strategy: plimsoll_model::Strategy::Rolling,
        permille: None,
        beside: false,
        decision_entry: 1,
        drain_sec: 1,
    }
}

const IMAGE: (&str, u16, &str) = (
    "GET /images/r.example",
    200,
    r#"{"Id":"sha256:00","RepoDigests":["r.example/acme/payouts@sha256:9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a"]}"#,
);

#[tokio::test]
async fn an_engine_that_is_not_there_is_not_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = fleet(&folder, folder.path().join("nobody.sock"));
    let error = fleet.list().await.unwrap_err();
    assert!(error.transient, "{error}");
    assert!(matches!(fleet.holds(&release()).await, Lookup::Unknown(_)));
    assert_eq!(fleet.version().await.unwrap_err().code(), "ENG-003");
}

#[tokio::test]
async fn old_engines_and_strangers_are_told_apart() {
    let old = Engine::scripted(&[("GET /version", 200, r#"{"ApiVersion":"1.40","Version":"19.03"}"#)]);
    let error = old.fleet().version().await.unwrap_err();
    assert_eq!((error.code(), error.found().as_deref()), ("ENG-007", Some("1.40")));
    let error = old.fleet().list().await.unwrap_err();
    assert!(!error.transient && error.reason.contains("update to"), "{error}");
    for body in ["<html>", "[]", r#"{"ApiVersion":"new","Version":"x"}"#, "half"] {
        let stranger = Engine::scripted(&[("GET /version", 200, body)]);
        let error = stranger.fleet().version().await.unwrap_err();
        assert!(error.is_transient(), "{body}: {error}");
    }
    let newest = Engine::scripted(&[("GET /version", 200, r#"{"ApiVersion":"1.52","Version":"29.0"}"#)]);
    assert_eq!(newest.fleet().version().await.unwrap().api, "1.52");
    assert!(newest.asked("GET /version").is_some());
}

#[tokio::test]
async fn a_partial_list_is_an_error() {
    let engine =
        Engine::scripted(&[VERSION, ("GET /containers/json", 500, r#"{"message":"database is locked"}"#)]);
    let error = engine.fleet().list().await.unwrap_err();
    assert!(error.transient && error.reason.contains("database is locked"), "{error}");

    let listed = r#"[{"Id":"a"},{"Id":"b"}]"#;
    let engine = Engine::scripted(&[
        VERSION,
        ("GET /containers/json", 200, listed),
        ("GET /containers/a/json", 500, r#"{"message":"layer is busy"}"#),
    ]);
    assert!(engine.fleet().list().await.unwrap_err().transient);
    // Gone since it was listed is another matter.
    let engine = Engine::scripted(&[VERSION, ("GET /containers/json", 200, listed)]);
    assert_eq!(engine.fleet().list().await.unwrap(), []);
    let damaged = r#"{"Name":"/a","Config":{"Labels":{"dev.plimsoll.fleet":"x"}}}"#;
    let engine = Engine::scripted(&[
        VERSION,
        ("GET /containers/json", 200, listed),
        ("GET /containers/a/json", 200, damaged),
    ]);
    let error = engine.fleet().list().await.unwrap_err();
    assert!(!error.transient && error.reason.contains("dev.plimsoll.image"), "{error}");
}

/// A state that the library does not know is no reason to take the engine for
/// something else at once, and one that stays is told.
#[tokio::test]
async fn a_state_between_two_others_is_waited_out() {
    let stopped = r#"[{"Id":"a","State":"stopped"}]"#;
    let engine = Engine::scripted(&[VERSION, ("GET /containers/json", 200, stopped)]);
    let error = engine.fleet().list().await.unwrap_err();
    assert!(error.transient && error.reason.contains("stopped"), "{error}");
    let asked = engine.asked.lock().unwrap();
    assert!(asked.iter().filter(|request| request.starts_with("GET /containers/json")).count() > 10);
}

#[tokio::test]
async fn errors_within_a_stream_of_reports_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::open_or_create(folder.path()).unwrap();
    let said = "toomanyrequests: slow down";
    let stream = format!(
        "{{\"status\":\"Pulling\",\"id\":\"x\"}}\n{{\"errorDetail\":{{\"message\":\"{said}\"}},\"error\":\"{said}\"}}\n"
    );
    let engine = Engine::scripted(&[VERSION, ("POST /images/create", 200, &stream)]);
    // Its JSON has `>` and `?` where the two base64 alphabets differ.
    let credential = Credential { user: "robot".into(), password: Secret::new("~~~???>>>~~~???>>>") };
    let brought = engine.fleet().bring(&release(), &Nowhere, &layout, Some(&credential), &Silent).await;
    let error = brought.unwrap_err();
    assert!(matches!(&error, EngineError::NotBrought { pull, .. } if pull.contains(said)), "{error}");
    let asked = engine.asked("POST /images/create").unwrap();
    assert!(asked.contains("fromImage=r.example%2Facme%2Fpayouts%40sha256%3A9a9a"), "{asked}");
    let header = asked.lines().find_map(|line| line.strip_prefix("x-registry-auth: ")).unwrap();
    assert!(!header.contains(['+', '/']) && header.contains(['-', '_']), "{header}");

    // Reports success and does not have it.
    let engine = Engine::scripted(&[VERSION, ("POST /images/create", 200, "{\"status\":\"done\"}\n")]);
    let error = engine.fleet().bring(&release(), &Nowhere, &layout, None, &Silent).await.unwrap_err();
    assert!(error.to_string().contains("does not have the image"), "{error}");

    // Has another one under that name.
    let other = (
        "GET /images/r.example",
        200,
        r#"{"Id":"sha256:00","RepoDigests":["r.example/acme/payouts@sha256:11"]}"#,
    );
    let engine = Engine::scripted(&[VERSION, other]);
    assert!(matches!(engine.fleet().holds(&release()).await, Lookup::Invalid(_)));
    let error = engine.fleet().bring(&release(), &Nowhere, &layout, None, &Silent).await.unwrap_err();
    assert_eq!(error.code(), "ENG-008");
    assert!(engine.asked("POST").is_none());
}

#[tokio::test]
async fn refusals_to_create_or_start_are_causes_and_trouble_is_an_error() {
    let created = ("POST /containers/create", 201, r#"{"Id":"c","Warnings":[]}"#);
    let refused = |status, message| (status, message);
    let cases = [
        (refused(400, "OCI runtime create failed: exec: \\\"/x\\\": not found"), Some(Cause::CannotStart)),
        (refused(500, "failed to create task: no space left on device"), Some(Cause::CannotBeScheduled)),
        (refused(500, "context deadline exceeded"), None),
        (
            refused(500, "Bind for 127.0.0.1:1 failed: port is already allocated"),
            Some(Cause::CannotBeScheduled),
        ),
    ];
    for ((status, message), cause) in cases {
        let body = format!(r#"{{"message":"{message}"}}"#);
        let engine = Engine::scripted(&[
            VERSION,
            IMAGE,
            created,
            ("POST /containers/host-1/start", status, &body),
            ("DELETE /containers/host-1", 204, ""),
            ("GET /containers/json", 200, "[]"),
        ]);
        let fleet = engine.fleet();
        let answer = fleet.create(&release(), "host-1", &desired()).await;
        let listed = fleet.list().await.unwrap();
        match cause {
            None => assert!(answer.unwrap_err().transient && listed.is_empty(), "{message}"),
            Some(cause) => {
                answer.unwrap();
                let InstanceState::Failing(why) = &listed[0].state else { panic!("{listed:?}") };
                assert_eq!(why.cause, cause, "{message}");
            }
        }
        let tried_again = engine.asked("DELETE /containers/host-1").is_some();
        assert_eq!(tried_again, message.contains("already allocated"));
    }
}

#[tokio::test]
async fn a_name_in_use_is_an_error_that_does_not_pass() {
    let engine = Engine::scripted(&[
        VERSION,
        IMAGE,
        ("POST /containers/create", 409, r#"{"message":"Conflict. The container name is already in use"}"#),
        ("GET /containers/host-1/json", 200, r#"{"Name":"/host-1","Config":{"Labels":{}}}"#),
    ]);
    let error = engine.fleet().create(&release(), "host-1", &desired()).await.unwrap_err();
    assert!(!error.transient, "{error}");
    // Removing what is not ours does nothing.
    engine.fleet().remove("host-1").await.unwrap();
    assert!(engine.asked("DELETE").is_none());
}

#[tokio::test]
async fn the_record_is_never_moved_backwards() {
    let engine = Engine::scripted(&[VERSION]);
    let record = |fence| FleetRecord { fence: Fence(fence), desired: Some(desired()) };
    let fleet = engine.fleet();
    assert_eq!(fleet.load().await.unwrap(), FleetRecord::default());
    fleet.store(&record(2)).await.unwrap();
    fleet.store(&record(1)).await.unwrap_err();
    assert_eq!(engine.fleet().load().await.unwrap(), record(2));
    std::fs::write(engine.folder.path().join("state/fleet.json"), "{").unwrap();
    assert!(!fleet.load().await.unwrap_err().transient);
    fleet.store(&record(3)).await.unwrap_err();
}

/// A container as an engine reports it, of this image.
fn container(name: &str, image: &str, state: &str) -> String {
    let release = release();
    serde_json::json!({
        "Name": format!("/{name}"), "Image": image, "Created": "2026-10-01T12:00:00Z",
        "State": { "Status": state }, "HostConfig": { "RestartPolicy": { "Name": "unless-stopped" } },
        "Config": { "Labels": {
            "dev.plimsoll.fleet": "f", "dev.plimsoll.image": release.to_string(), "dev.plimsoll.rollout": "r1",
            "dev.plimsoll.generation": "1", "dev.plimsoll.address": "127.0.0.1:1",
        } },
    })
    .to_string()
}

/// Its labels are what it was made with, and its image is what the engine says.
#[tokio::test]
async fn a_container_that_runs_another_image_is_found_out() {
    let listed = ("GET /containers/json", 200, r#"[{"Id":"a"},{"Id":"b"},{"Id":"c"}]"#);
    // Podman writes an id without its algorithm.
    let (good, other, paused) = (
        container("host-1", "00", "running"),
        container("host-2", "sha256:11", "running"),
        container("host-3", "sha256:00", "paused"),
    );
    let containers = [
        ("GET /containers/a/json", 200, good.as_str()),
        ("GET /containers/b/json", 200, other.as_str()),
        ("GET /containers/c/json", 200, paused.as_str()),
    ];
    let script = |more: &[(&'static str, u16, &'static str)]| -> Engine {
        let mut script = vec![VERSION, listed];
        script.extend(containers);
        script.extend(more);
        Engine::scripted(&script)
    };
    let engine = script(&[IMAGE]);
    let fleet = engine.fleet();
    let found = fleet.by_hand().await.unwrap();
    let seen: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.way, one.found.as_str())).collect();
    assert_eq!(
        seen,
        [("host-2", ByHand::OtherImage, "sha256:11"), ("host-3", ByHand::Paused, "paused")],
        "{found:#?}"
    );
    assert_eq!(found[0].expected, release().to_string());
    // What was verified once is remembered; one that was ready and is gone was removed.
    let instances = engine.folder.path().join("state/instances/host-9");
    std::fs::create_dir_all(&instances).unwrap();
    let identity = serde_json::json!({
        "name": "host-9", "release": release(), "rollout": "r1", "generation": 1,
    });
    std::fs::write(instances.join("identity.json"), identity.to_string()).unwrap();
    assert_eq!(fleet.by_hand().await.unwrap().len(), 2, "it was never ready");
    std::fs::write(instances.join("ready"), "").unwrap();
    let found = fleet.by_hand().await.unwrap();
    assert_eq!(found.last().map(|one| (one.name.as_str(), one.way)), Some(("host-9", ByHand::Removed)));

    // Neither by digest nor by id: it is not said to be the release's.
    let engine = script(&[("GET /images/r.example", 404, "{}")]);
    let found = engine.fleet().by_hand().await.unwrap();
    assert_eq!(found.iter().filter(|one| one.way == ByHand::OtherImage).count(), 3, "{found:#?}");
    // An engine that cannot say is not one that says so.
    let engine = script(&[("GET /images/", 500, r#"{"message":"database is locked"}"#)]);
    assert!(engine.fleet().by_hand().await.unwrap_err().transient);
}
