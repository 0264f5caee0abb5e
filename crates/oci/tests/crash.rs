//! A process that is killed at any moment leaves a store that is whole.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use plimsoll_oci::{Descriptor, Layout, media_type};

const STORE: &str = "PLIMSOLL_OCI_CRASH_STORE";

/// The process that is killed: it stores and tags until it dies. As a test of
/// its own, without the variable, it does nothing.
#[test]
fn writer() {
    let Ok(store) = std::env::var(STORE) else { return };
    let layout = Layout::open_or_create(store).unwrap();
    let mut out = std::io::stdout();
    for n in 0_u64.. {
        let bytes = n.to_le_bytes().repeat(20_000);
        let (digest, size) = layout.put(&bytes).unwrap();
        layout
            .tag(&format!("tag-{}", n % 7), Descriptor::new(media_type::OCI_MANIFEST, digest, size))
            .unwrap();
        writeln!(out, "\nstored {digest}").unwrap();
    }
}

#[test]
fn killed_writers_leave_a_whole_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let mut random = fastrand::Rng::with_seed(3);
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--nocapture"])
            .env(STORE, &store)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut stored = lines.map_while(Result::ok).filter(|line| line.starts_with("stored "));
        // Somewhere within the work that follows the last line that is read.
        let mut last = None;
        for _ in 0..random.usize(1..5) {
            last = stored.next();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let last = last.expect("the child stores something before it is killed");

        let layout = Layout::open_or_create(&store).unwrap();
        assert_eq!(std::fs::read_dir(store.join(".tmp")).unwrap().count(), 0, "round {round}");
        for digest in layout.blobs().unwrap() {
            layout.read_blob(&digest, 1 << 20).expect("what is visible is whole");
        }
        for (name, descriptor) in layout.refs().unwrap() {
            assert!(layout.has(&descriptor.digest).unwrap(), "{name} refers to a blob that is there");
        }
        let acknowledged = last.trim_start_matches("stored ").parse().unwrap();
        assert!(layout.has(&acknowledged).unwrap(), "what was acknowledged is kept");
    }
}
