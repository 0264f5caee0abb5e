//! The PostgreSQL of the tests starts, survives, and is gone with its test.
#![allow(clippy::unwrap_used)]

use std::io::Read as _;
use std::process::{Command, Stdio};

use plimsoll_testkit::postgres::{Settings, server, shared};

#[test]
fn databases_are_made_and_a_crash_is_survived() {
    let Some(postgres) = server(&Settings { fsync: true, ..Settings::default() }) else { return };
    let url = postgres.create_database("payouts");
    postgres.psql(&url, "CREATE TABLE t (n int); INSERT INTO t VALUES (1)");
    postgres.kill9();
    postgres.start();
    assert_eq!(postgres.psql(&postgres.socket_url("payouts"), "SELECT n FROM t"), "1");
    assert!(postgres.log().iter().any(|line| line.contains("not properly shut down")));
    postgres.stop();
    postgres.start();
    assert_eq!(postgres.psql(&url, "SELECT n FROM t"), "1");
    let data = postgres.data();
    drop(postgres);
    assert!(!data.exists());
}

/// Run by the test below in a process of its own.
#[test]
#[ignore = "is killed by its parent"]
fn victim() {
    let Some(postgres) = shared() else { return };
    eprintln!("data={}", postgres.data().display());
    std::thread::park();
}

#[test]
fn a_test_that_is_killed_leaves_no_server() {
    if shared().is_none() {
        return;
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["victim", "--exact", "--ignored", "--nocapture"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stderr = victim.stderr.take().unwrap();
    let folder = loop {
        let mut byte = [0];
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "it ended early: {said}");
        said.push(char::from(byte[0]));
        if let Some((_, rest)) = said.split_once("data=")
            && let Some((folder, _)) = rest.split_once('\n')
        {
            break std::path::PathBuf::from(folder);
        }
    };
    assert!(folder.join("postmaster.pid").is_file());
    victim.kill().unwrap();
    victim.wait().unwrap();
    // The server removes its socket and process id, the guard the folder.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while folder.exists() {
        assert!(std::time::Instant::now() < deadline, "{} is still there", folder.display());
        std::thread::yield_now();
    }
}
