//! Signals of a real server: what stops a backfill, and what nobody may read.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use plimsoll_database::tokio_postgres::NoTls;
use plimsoll_evidence_migration_lint::Dialect;
use plimsoll_rollout_backfill::{Event, Observer as _, Options, Signal, Silent, Thresholds, Vacuums};
use plimsoll_testkit::postgres::{Settings, server, shared};

use crate::common::{On, Told, at, declared, go, runtime, small};

const SETUP: &str = "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);
                     INSERT INTO t SELECT g FROM generate_series(1, 1000) g";

fn none() -> Thresholds {
    Thresholds {
        replication_bytes: None,
        replication_sec: None,
        slot_bytes: None,
        wal_bytes_per_sec: None,
        lock_waits: None,
        blocked_by_us: None,
        active_sessions: None,
        vacuums: Vacuums::None,
        pause_file: None,
    }
}

#[test]
fn a_pause_file_stops_it_until_it_is_gone() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    server.psql(&url, SETUP);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pause");
    std::fs::write(&file, "").unwrap();
    let told = Told::default();
    let observer = On(|event: &Event| {
        told.report(event);
        if let Event::Waiting { reasons, .. } = event {
            assert_eq!(reasons[0].to_string(), "the pause file is there");
            std::fs::remove_file(&file).unwrap();
        }
    });
    let thresholds = Thresholds { pause_file: Some(file.clone()), ..none() };
    let declaration = declared("table=t key=id", "UPDATE t SET n = n + 1", Dialect::Postgres);
    go(&at(&url), &declaration, &Options { thresholds, ..small() }, &observer).unwrap();
    let events = told.events();
    let waited = events.iter().position(|event| matches!(event, Event::Waiting { .. })).unwrap();
    let batch = events.iter().position(|event| matches!(event, Event::Batch { .. })).unwrap();
    assert!(waited < batch);
}

#[test]
fn sessions_that_wait_for_a_lock_stop_it() {
    let Some(server) = server(&Settings::default()) else { return };
    let url = server.new_database();
    server.psql(&url, &format!("{SETUP}; CREATE TABLE other (id int)"));
    let others = runtime();
    let connect = async || {
        let (client, connection) = plimsoll_database::tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    };
    let (holds, waits) = others.block_on(async { (connect().await, connect().await) });
    others.block_on(holds.batch_execute("BEGIN; LOCK TABLE other")).unwrap();
    let waiting = others.spawn(async move { waits.batch_execute("BEGIN; LOCK TABLE other").await });
    let sees = || server.psql(&url, "SELECT count(*) FROM pg_locks WHERE NOT granted");
    while sees() != "1" {}
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let release = std::thread::spawn(move || {
        receive.recv().unwrap();
        others.block_on(async {
            holds.batch_execute("COMMIT").await.unwrap();
            let _ = waiting.await;
        });
    });
    let send = Mutex::new(Some(send));
    let told = Told::default();
    let observer = On(|event: &Event| {
        told.report(event);
        if matches!(event, Event::Waiting { .. })
            && let Some(send) = send.lock().unwrap().take()
        {
            let kept = server.psql(&url, "SELECT waits_for, batches FROM plimsoll_backfills");
            assert!(kept.ends_with("|0"), "{kept}");
            send.send(()).unwrap();
        }
    });
    let thresholds = Thresholds { lock_waits: Some(0.0), ..none() };
    let declaration = declared("table=t key=id", "UPDATE t SET n = n + 1", Dialect::Postgres);
    go(&at(&url), &declaration, &Options { thresholds, ..small() }, &observer).unwrap();
    release.join().unwrap();
    let first = told.events().into_iter().find_map(|event| match event {
        Event::Waiting { reasons, .. } => Some(reasons),
        _ => None,
    });
    let first = first.unwrap();
    assert_eq!((first[0].signal, first[0].value), (Signal::LockWaits, Some(1.0)));
}

#[test]
fn every_signal_is_read_by_an_account_that_may_and_named_for_one_that_may_not() {
    let Some(server) = server(&Settings::default()) else { return };
    let url = server.new_database();
    server.psql(
        &url,
        &format!(
            "CREATE ROLE app LOGIN; GRANT CREATE ON SCHEMA public TO app; {SETUP}; ALTER TABLE t OWNER TO app"
        ),
    );
    let any = Thresholds { vacuums: Vacuums::Any, ..Thresholds::default() };
    let options = Options { thresholds: any, ..small() };
    let declaration = declared("table=t key=id name=a", "UPDATE t SET n = n + 1", Dialect::Postgres);
    let done = go(&at(&url), &declaration, &options, &Silent).unwrap();
    assert!(done.not_watched.is_empty(), "{:?}", done.not_watched);
    let theirs = url.replace("postgres@", "app@");
    server.psql(&url, "ALTER TABLE plimsoll_backfills OWNER TO app");
    let declaration = declared("table=t key=id name=b", "UPDATE t SET n = n + 1", Dialect::Postgres);
    let done = go(&at(&theirs), &declaration, &options, &Silent).unwrap();
    assert_eq!(done.not_watched.len(), 4, "{:?}", done.not_watched);
    assert!(done.not_watched[0].contains("GRANT pg_monitor TO app"), "{:?}", done.not_watched);
    server.psql(&url, "GRANT pg_monitor TO app");
    let declaration = declared("table=t key=id name=c", "UPDATE t SET n = n + 1", Dialect::Postgres);
    assert!(go(&at(&theirs), &declaration, &options, &Silent).unwrap().not_watched.is_empty());
}

/// Active sessions, replication slots and WAL, each above a threshold of zero.
#[test]
fn what_is_high_is_seen() {
    let Some(server) = server(&Settings::default()) else { return };
    let url = server.new_database();
    server.psql(
        &url,
        &format!("{SETUP}; SELECT pg_create_physical_replication_slot('s', true);
             CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); RETURN NULL; END';
             CREATE TRIGGER slow AFTER UPDATE ON t FOR EACH STATEMENT EXECUTE FUNCTION slow(); INSERT INTO t SELECT g FROM generate_series(2000, 90000) g"),
    );
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stopping = Stopping(&stop);
        // Somebody is always active, and always writes.
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                server.psql(&url, "UPDATE t SET n = n WHERE id < 500; SELECT pg_sleep(0.3)");
            }
        });
        for (signal, thresholds) in [
            (Signal::SlotBytes, Thresholds { slot_bytes: Some(0.0), ..none() }),
            (Signal::ActiveSessions, Thresholds { active_sessions: Some(0.0), ..none() }),
            (Signal::WalBytesPerSec, Thresholds { wal_bytes_per_sec: Some(1.0), ..none() }),
        ] {
            let name = format!("table=t key=id name={}", signal as u8);
            let declaration = declared(&name, "UPDATE t SET n = n + 1", Dialect::Postgres);
            let options = Options { thresholds, lock_timeout: Duration::from_secs(9), ..small() };
            let interrupt = std::sync::Arc::clone(&options.interrupt);
            let seen = Mutex::new(None);
            let observer = On(|event: &Event| {
                if let Event::Waiting { reasons, .. } = event {
                    seen.lock().unwrap().get_or_insert(reasons[0].clone());
                    interrupt.store(true, Ordering::SeqCst);
                }
            });
            let outcome = go(&at(&url), &declaration, &options, &observer);
            let seen = seen.into_inner().unwrap();
            assert_eq!(seen.map(|reason| reason.signal), Some(signal), "{outcome:?}");
        }
    });
}

/// Ends the other thread, also where the test fails.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
