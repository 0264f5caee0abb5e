//! The process: handover, crashes, signals, files, the control socket.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use plimsoll_model::Diagnose as _;
use plimsoll_rollout_switch::protocol::{MAX_REQUEST, SOCKET};
use plimsoll_rollout_switch::settings::{TABLE, read_table};
use plimsoll_rollout_switch::{Settings, SwitchError, Table, ensure};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::common::{Instance, Load, Switch, kill, launch, raw, read_until};

/// A zombie has ended: its parent, this test, just did not look yet. But the
/// first thread of a killed process is one before its other threads have let
/// go of their sockets.
fn alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let zombie = stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z');
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    !zombie || threads > 1
}

async fn until_gone(pid: u32) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while alive(pid) {
        assert!(tokio::time::Instant::now() < deadline, "{pid} does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A newer binary takes over under load without a lost request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handover_under_load_loses_nothing() {
    let mut switch = Switch::start().await;
    switch.drain_sec = 30;
    let (a, b) = (Instance::start("a", 1).await, Instance::start("b", 2).await);
    switch.route(&[&a, &b]).await;
    let first = switch.status().await.pid;
    let mut stream = switch.connect().await;
    raw(&mut stream, "GET /events?1000 HTTP/1.1\r\nHost: h\r\n\r\n").await;
    read_until(&mut stream, " 999\n").await;
    let mut idle = switch.client().await;
    idle.get("/name").await.unwrap();

    let load = Load::start(switch.listen, 12, true);
    let mut pids = vec![first];
    for version in 2..=4u64 {
        load.at_least(version * 1000).await;
        switch.replace(&version.to_string()).await.unwrap();
        let status = switch.status().await;
        assert_eq!((status.version, status.generation), (version.to_string(), 1));
        assert!(!pids.contains(&status.pid));
        pids.push(status.pid);
        // Deploying goes on meanwhile, also for what the old one still serves.
        if version == 3 {
            switch.route(&[&b]).await;
            switch.route(&[&a, &b]).await;
            switch.generation.store(1, std::sync::atomic::Ordering::SeqCst);
            switch
                .control
                .apply(&Table { fence: 2, ..switch.table(vec![a.entry(), b.entry()]) })
                .await
                .unwrap();
            switch.generation.store(0, std::sync::atomic::Ordering::SeqCst);
            let table = Table { fence: 3, ..switch.table(vec![a.entry(), b.entry()]) };
            switch.control.apply(&table).await.unwrap();
        }
    }
    // A connection that was idle all the time is served by its old process once more.
    assert_eq!(idle.get("/name").await.unwrap().0, 200);
    load.at_least(6000).await;
    let (sent, failures) = load.finish().await;
    assert!(failures.is_empty(), "{} of {sent} failed: {:?}", failures.len(), &failures[..1]);
    assert!(read_until(&mut stream, " 1\n\n\r\n0\r\n\r\n").await.ends_with("0\r\n\r\n"));
    for pid in &pids[..3] {
        until_gone(*pid).await;
    }
    // What all of them counted has come together: the load, one stream, two by hand.
    let status = switch.until("heard", |s| s.predecessor_pid.is_none()).await;
    assert_eq!(status.digests.iter().map(|d| d.requests()).sum::<u64>(), sent + 3);
    assert_eq!(status.pid, pids[3]);
}

#[tokio::test]
async fn an_instance_is_not_drained_while_a_replaced_switch_still_uses_it() {
    let switch = Switch::start().await;
    let (a, b) = (Instance::start("a", 1).await, Instance::start("b", 2).await);
    switch.route(&[&a]).await;
    let mut client = switch.client().await;
    let slow = tokio::spawn(async move { client.get("/slow?2500").await });
    switch.until("begun", |s| s.in_flight("a") == 1).await;
    switch.replace("2").await.unwrap();
    switch.route(&[&b]).await;
    let status = switch.status().await;
    assert!(!status.drained("a"), "{status:#?}");
    assert!(!slow.is_finished());
    assert_eq!(slow.await.unwrap().unwrap(), (200, "a".into()));
    switch.until("drained", |s| s.drained("a")).await;
}

#[tokio::test]
async fn a_successor_that_dies_in_between_changes_nothing() {
    let switch = Switch::start().await;
    let a = Instance::start("a", 1).await;
    switch.route(&[&a]).await;
    switch.client().await.get("/name").await.unwrap();
    let before = switch.status().await;
    let mut stream = UnixStream::connect(switch.state_dir().join(SOCKET)).await.unwrap();
    stream.write_all(b"{\"op\":\"handover\",\"version\":\"9\",\"pid\":1}\n").await.unwrap();
    let mut buffer = [0; 100];
    assert!(stream.read(&mut buffer).await.unwrap() > 0);
    drop(stream);
    assert_eq!(switch.client().await.get("/name").await.unwrap().1, "a");
    let after = switch.status().await;
    assert_eq!(after.pid, before.pid);
    assert_eq!(after.digests[0].requests(), 2);
    switch.route(&[&a]).await;
}

/// The successor dies while its predecessor still finishes a stream.
#[tokio::test]
async fn a_successor_that_dies_afterwards_can_be_started_again() {
    let switch = Switch::start().await;
    let a = Instance::start("a", 1).await;
    switch.route(&[&a]).await;
    let first = switch.status().await.pid;
    let mut stream = switch.connect().await;
    raw(&mut stream, "GET /events?600 HTTP/1.1\r\nHost: h\r\n\r\n").await;
    read_until(&mut stream, " 599\n").await;
    switch.replace("2").await.unwrap();
    let second = switch.status().await.pid;
    kill(second, Signal::KILL);
    until_gone(second).await;
    switch.replace("2").await.unwrap();
    assert!(alive(first));
    assert_eq!(switch.client().await.get("/name").await.unwrap(), (200, "a".into()));
    assert!(read_until(&mut stream, " 1\n\n\r\n0\r\n\r\n").await.ends_with("0\r\n\r\n"));
    until_gone(first).await;
}

#[tokio::test]
async fn one_that_is_ending_is_waited_for() {
    let switch = Switch::start().await;
    let a = Instance::start("a", 1).await;
    switch.route(&[&a]).await;
    let first = switch.status().await.pid;
    let mut client = switch.client().await;
    let slow = tokio::spawn(async move { client.get("/slow?2500").await });
    switch.until("begun", |s| s.in_flight("a") == 1).await;
    switch.control.shutdown().await.unwrap();
    switch.until("ending", |s| s.stopping).await;
    // Refused, not left waiting for an answer that never comes.
    assert!(tokio::net::TcpStream::connect(switch.listen).await.is_err());
    switch.replace("1").await.unwrap();
    assert_ne!(switch.status().await.pid, first);
    assert_eq!(slow.await.unwrap().unwrap().0, 200);
    assert_eq!(switch.client().await.get("/name").await.unwrap().0, 200);
}

/// It closes its socket with a question unread: that is an ending, no error.
#[tokio::test]
async fn one_that_ends_while_it_is_asked_is_followed_by_another() {
    let dir = tempfile::tempdir().unwrap();
    let ending = tokio::net::UnixListener::bind(dir.path().join(SOCKET)).unwrap();
    let asked = tokio::spawn(async move { drop((ending.accept().await.unwrap(), ending)) });
    let settings = Settings::new("trial", "127.0.0.1:0".parse().unwrap());
    let control = ensure(&launch(dir.path(), &settings, "1")).await.unwrap();
    asked.await.unwrap();
    kill(control.status().await.unwrap().pid, Signal::KILL);
}

#[tokio::test]
async fn after_kill_9_it_starts_again_with_its_table() {
    let switch = Switch::start().await;
    let a = Instance::start("a", 1).await;
    switch.route(&[&a]).await;
    let before = switch.status().await;
    kill(before.pid, Signal::KILL);
    until_gone(before.pid).await;
    assert!(matches!(switch.control.status().await, Err(SwitchError::NotRunning { .. })));
    switch.replace("1").await.unwrap();
    let after = switch.status().await;
    assert_ne!(after.pid, before.pid);
    assert_eq!(
        (after.generation, after.fence, after.listen),
        (before.generation, before.fence, before.listen)
    );
    assert_eq!(switch.client().await.get("/name").await.unwrap(), (200, "a".into()));
}

#[tokio::test]
async fn several_at_once_come_to_one_switch() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new("trial", "127.0.0.1:0".parse().unwrap());
    let launch = launch(dir.path(), &settings, "1");
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let launch = launch.clone();
        callers.spawn(async move { ensure(&launch).await.unwrap().status().await.unwrap().pid });
    }
    let pids = callers.join_all().await;
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    // One started past the check ends, and says why.
    let output = std::process::Command::new(&launch.exe).args(&launch.args).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("a traffic switch already runs for"));
    kill(pids[0], Signal::KILL);
}

#[tokio::test]
async fn another_listen_or_environment_is_an_error() {
    let switch = Switch::start().await;
    let mut other = switch.settings.clone();
    other.environment = "production".into();
    let error = ensure(&launch(&switch.state_dir(), &other, "1")).await.unwrap_err();
    assert_eq!(error.code(), "SWI-013");
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_with_who_has_it() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new("trial", other.local_addr().unwrap());
    let error = ensure(&launch(dir.path(), &settings, "1")).await.unwrap_err();
    assert_eq!(error.code(), "SWI-006");
    let text = error.to_string();
    assert!(text.contains(&format!("(pid {}) does already", std::process::id())), "{text}");
}

#[tokio::test]
async fn a_damaged_table_is_an_error_and_not_an_empty_one() {
    let switch = Switch::start().await;
    let a = Instance::start("a", 1).await;
    switch.route(&[&a]).await;
    let pid = switch.status().await.pid;
    kill(pid, Signal::KILL);
    until_gone(pid).await;
    let path = switch.state_dir().join(TABLE);
    let good = std::fs::read_to_string(&path).unwrap();
    for bad in
        ["", "{", &good[..good.len() / 2], "{\"schema\":\"x\",\"body\":{}}", &good.replace("/v1", "/v9")]
    {
        std::fs::write(&path, bad).unwrap();
        assert!(matches!(read_table(&switch.state_dir()), Err(SwitchError::CorruptState { .. })), "{bad}");
    }
    let error = switch.replace("1").await.unwrap_err();
    let SwitchError::NotStarted { last_lines, .. } = &error else { panic!("{error}") };
    assert!(
        last_lines.iter().any(|line| line.contains("table.json is not a switch state file")),
        "{last_lines:?}"
    );
    std::fs::write(&path, good).unwrap();
    switch.replace("1").await.unwrap();
    assert!(switch.status().await.routed("a"));
}

/// The durable write of a table, failed before anything was written; and its
/// answer lost after it took effect.
#[tokio::test]
async fn a_table_that_cannot_be_written_is_not_applied_and_a_lost_answer_can_be_repeated() {
    let switch = Switch::start().await;
    let (a, b) = (Instance::start("a", 1).await, Instance::start("b", 2).await);
    switch.route(&[&a]).await;
    let table = switch.table(vec![b.entry()]);
    // A directory in its place cannot be replaced by a file, not even by root.
    let path = switch.state_dir().join(TABLE);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let error = switch.control.apply(&table).await.unwrap_err();
    assert!(error.to_string().contains("SWI-008"), "{error}");
    assert!(switch.status().await.routed("a"));
    std::fs::remove_dir(&path).unwrap();

    let mut line =
        serde_json::to_vec(&plimsoll_rollout_switch::protocol::Request::Apply { table: table.clone() })
            .unwrap();
    line.push(b'\n');
    let mut stream = UnixStream::connect(switch.state_dir().join(SOCKET)).await.unwrap();
    stream.write_all(&line).await.unwrap();
    drop(stream);
    switch.until("applied", |s| s.routed("b")).await;
    assert_eq!(read_table(&switch.state_dir()).unwrap(), Some(table.clone()));
    assert_eq!(switch.control.apply(&table).await.unwrap(), table.generation);
}

#[tokio::test]
async fn sigterm_finishes_what_is_open_and_sighup_is_ignored() {
    let switch = Switch::start().await;
    let a = Instance::start("a", 1).await;
    switch.route(&[&a]).await;
    let pid = switch.status().await.pid;
    kill(pid, Signal::HUP);
    let mut client = switch.client().await;
    let slow = tokio::spawn(async move { client.get("/slow?700").await });
    switch.until("begun", |s| s.in_flight("a") == 1).await;
    assert_eq!(switch.status().await.pid, pid);
    kill(pid, Signal::TERM);
    assert_eq!(slow.await.unwrap().unwrap(), (200, "a".into()));
    until_gone(pid).await;
    assert!(!switch.state_dir().join(SOCKET).exists());
    // The same by the control socket, from a fresh start.
    switch.replace("1").await.unwrap();
    let pid = switch.status().await.pid;
    switch.control.shutdown().await.unwrap();
    until_gone(pid).await;
}

#[tokio::test]
async fn nonsense_on_the_control_socket_is_answered_and_harms_nobody() {
    let switch = Switch::start().await;
    let path = switch.state_dir().join(SOCKET);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for nonsense in
        ["\n", "{}\n", "{\"op\":\"explode\"}\n", "[[[[[[[[\n", "\u{0}\n", "{\"op\":\"handover_done\"}\n"]
    {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(nonsense.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.contains("SWI-003"), "{nonsense:?}: {text}");
    }
    let mut stream = UnixStream::connect(&path).await.unwrap();
    // Refused in the middle of it, so that writing may fail.
    let _ = stream.write_all(&vec![b'x'; MAX_REQUEST + 100_000]).await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    assert_eq!(switch.status().await.environment, "trial");
}

/// A state directory deeper than a socket's path may be.
#[tokio::test]
async fn a_long_state_directory_works() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("d".repeat(120));
    let settings = Settings::new("trial", "127.0.0.1:0".parse().unwrap());
    let control = ensure(&launch(&deep, &settings, "1")).await.unwrap();
    kill(control.status().await.unwrap().pid, Signal::KILL);
}
