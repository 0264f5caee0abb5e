//! Appending and reading back.

use std::os::unix::fs::PermissionsExt as _;

use plimsoll_model::Diagnose as _;

use super::events::{Fixture, build_failed, build_started, sha, story, url};
use crate::{Error, Filter, KeySource, Ledger, Options};

#[test]
fn entries_come_back_as_they_were_appended() {
    let Fixture { ledger, dir } = Fixture::new();
    let events = story();
    let receipts = ledger.append_all("ada", &events).unwrap();
    assert_eq!(receipts.len(), events.len());
    for (receipt, event) in receipts.iter().zip(&events) {
        let entry = ledger.entry(receipt.seq).unwrap().unwrap();
        assert_eq!((&entry.event, entry.hash), (event, receipt.hash));
        assert_eq!((entry.kind.as_str(), entry.actor.as_str()), (event.kind(), "ada"));
        assert_eq!((entry.environment.as_deref(), entry.sha.as_ref()), (event.environment(), event.sha()));
    }
    assert_eq!(ledger.entry(99).unwrap(), None);
    // Another process sees the same.
    let other = Ledger::open(&url(&dir), KeySource::None).unwrap();
    let newest = other.entries(&Filter::default(), true, 3).unwrap();
    assert_eq!(newest.iter().map(|e| e.seq).collect::<Vec<_>>(), [14, 13, 12]);
    let filter = Filter { kinds: vec!["build.finished", "decision"], sha: Some(sha(2)), ..Filter::default() };
    let found = other.entries(&filter, false, 10).unwrap();
    assert_eq!(found.iter().map(|e| e.seq).collect::<Vec<_>>(), [9, 10]);
    assert!(other.verify(&Options::default()).unwrap().is_intact());
}

#[test]
fn files_are_for_their_owner_alone() {
    let fixture = Fixture::new();
    fixture.ledger.append("ada", &build_started(1)).unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(fixture.path().parent().unwrap()), 0o700);
    for entry in fixture.path().parent().unwrap().read_dir().unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn an_idempotency_key_records_once() {
    let Fixture { ledger, .. } = Fixture::new();
    let first = ledger.append_once("ada", "push-1", &build_started(1)).unwrap();
    ledger.append("ada", &build_started(2)).unwrap();
    assert_eq!(ledger.append_once("ada", "push-1", &build_started(1)).unwrap(), first);
    let other = ledger.append_once("ada", "push-1", &build_failed(1)).unwrap_err();
    assert!(matches!(other, Error::KeyReused { seq: 1, .. }));
    assert_eq!(ledger.size().unwrap(), 2);
}

/// OBS-3: an entry names the trace of the command that recorded it, and is the
/// same event for a command with another.
#[test]
fn an_entry_names_the_trace_it_was_recorded_in() {
    let Fixture { ledger, .. } = Fixture::new();
    let [one, two] = ["4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"]
        .map(|id| id.parse::<plimsoll_model::TraceId>().unwrap());
    ledger.append("ada", &build_started(1)).unwrap();
    let first = ledger.traced(one).append_once("ada", "push-1", &build_started(2)).unwrap();
    assert_eq!(ledger.traced(two).append_once("ada", "push-1", &build_started(2)).unwrap(), first);
    assert_eq!(ledger.append_once("ada", "push-1", &build_started(2)).unwrap(), first);
    let entries = ledger.entries(&Filter::default(), false, 10).unwrap();
    let traces: Vec<_> = entries.iter().map(|entry| entry.trace_id).collect();
    assert_eq!(traces, [None, Some(one)]);
    assert_eq!(entries[1].event, build_started(2));
    let body = ledger.rows(&crate::store::Query::default()).unwrap().pop().unwrap().body;
    assert!(body.ends_with(format!("\"kind\":\"build.started\",\"trace_id\":\"{one}\"}}").as_bytes()));
    let untraced = serde_json::to_value(&entries[0]).unwrap();
    assert!(untraced.get("trace_id").is_none());
    assert!(ledger.verify(&Options::default()).unwrap().is_intact());
}

#[test]
fn without_its_key_a_ledger_is_only_read() {
    let fixture = Fixture::new();
    fixture.ledger.append("ada", &build_started(1)).unwrap();
    let key = fixture.dir.path().join("state/ledger.db.key");
    std::fs::rename(&key, fixture.dir.path().join("kept")).unwrap();
    let reader = Ledger::open(&url(&fixture.dir), KeySource::Beside).unwrap();
    assert_eq!(reader.size().unwrap(), 1);
    let refused = reader.append("ada", &build_started(2)).unwrap_err();
    assert_eq!(refused.code(), "LED-007");
    assert!(!key.exists(), "a second key must not appear");

    let other = tempfile::tempdir().unwrap();
    Ledger::open(&url(&other), KeySource::Beside).unwrap();
    let wrong = KeySource::File(other.path().join("state/ledger.db.key"));
    let reader = Ledger::open(&url(&fixture.dir), wrong).unwrap();
    let refused = reader.append("ada", &build_started(2)).unwrap_err();
    assert!(matches!(refused, Error::NoKey { found: Some(_), .. }));
    assert!(refused.expected().is_some() && refused.expected() != refused.found());
}

#[test]
fn what_is_not_there_is_not_made_by_looking() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Ledger::open_existing(&url(&dir), KeySource::Beside).unwrap().is_none());
    assert!(dir.path().read_dir().unwrap().next().is_none());
    assert_eq!(Ledger::open(&url(&dir), KeySource::None).unwrap_err().code(), "LED-007");
    assert!(dir.path().read_dir().unwrap().next().is_none());
    let refused = Ledger::open("postgres://u:secret@h/db", KeySource::Beside).unwrap_err();
    assert_eq!(refused.code(), "LED-001");
    assert!(!refused.to_string().contains("secret"));
}

#[test]
fn a_newer_schema_is_refused() {
    let fixture = Fixture::new();
    fixture.raw().execute("INSERT INTO schema_version VALUES (7)", []).unwrap();
    let refused = Ledger::open(&url(&fixture.dir), KeySource::Beside).unwrap_err();
    assert_eq!(refused.code(), "LED-003");
    assert_eq!(refused.found().as_deref(), Some("version 7"));
}

/// Whoever verifies while others append must never see a false alarm.
#[test]
fn verifying_while_others_append_finds_nothing() {
    let fixture = Fixture::new();
    let (done, rounds) = (std::sync::atomic::AtomicBool::new(false), 10);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let writer = Ledger::open(&url(&fixture.dir), KeySource::Beside).unwrap();
            let done = &done;
            scope.spawn(move || {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    writer.append_all("writer", &story()).unwrap();
                }
            });
        }
        let reports: Vec<_> =
            (0..rounds).map(|_| fixture.ledger.verify(&Options::default()).unwrap().findings).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(reports, vec![Vec::new(); rounds]);
    });
}
