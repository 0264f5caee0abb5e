//! Others at work on the same rows: locks, deadlocks, a table that goes away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use plimsoll_database::tokio_postgres::{Client, NoTls};
use plimsoll_evidence_migration_lint::Dialect;
use plimsoll_model::Diagnose as _;
use plimsoll_rollout_backfill::{Event, Observer as _, Options, Silent};
use plimsoll_testkit::postgres::shared;

use crate::common::{On, Told, at, declared, go, runtime, small};

const SETUP: &str = "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);
                     INSERT INTO t SELECT g FROM generate_series(1, 1000) g";

/// A session of somebody else.
async fn session(url: &str) -> Client {
    let (client, connection) = plimsoll_database::tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[test]
fn rows_that_somebody_holds_are_waited_for() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    server.psql(&url, SETUP);
    let others = runtime();
    let other = others.block_on(session(&url));
    others.block_on(other.batch_execute("BEGIN; UPDATE t SET n = n WHERE id IN (500, 700)")).unwrap();
    // Let go of in another thread: the observer is called within a runtime.
    let (let_go, is_let_go) = mpsc::channel::<()>();
    let release = std::thread::spawn(move || {
        is_let_go.recv().unwrap();
        others.block_on(other.batch_execute("COMMIT")).unwrap();
    });
    let let_go = Mutex::new(let_go);
    let told = Told::default();
    let observer = On(|event: &Event| {
        told.report(event);
        if let Event::Retry { attempt: 3, .. } = event {
            let_go.lock().unwrap().send(()).unwrap();
        }
    });
    let options = Options { lock_timeout: Duration::from_millis(100), ..small() };
    let declaration = declared("table=t key=id batch=100", "UPDATE t SET n = n + 1", Dialect::Postgres);
    go(&at(&url), &declaration, &options, &observer).unwrap();
    release.join().unwrap();
    assert_eq!(server.psql(&url, "SELECT min(n), max(n) FROM t"), "1|1");
    assert!(told.retries()[0].contains("lock timeout (55P03)"), "{:?}", told.retries());
}

#[test]
fn a_deadlock_is_only_another_attempt() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    server.psql(
        &url,
        &format!(
            "{SETUP}; ALTER DATABASE \"{}\" SET deadlock_timeout = '50ms'",
            url.rsplit('/').next().unwrap()
        ),
    );
    // A trigger takes a lock that somebody holds, who then waits for the row.
    server.psql(
        &url,
        "CREATE FUNCTION crossing() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN IF NEW.id = 450 THEN PERFORM pg_advisory_xact_lock(7); END IF; RETURN NEW; END';
         CREATE TRIGGER crossing AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION crossing()",
    );
    let others = runtime();
    let other = others.block_on(session(&url));
    others.block_on(other.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(7)")).unwrap();
    // It asks for the row once the backfill waits for the lock.
    let crossing = std::thread::spawn({
        let url = url.clone();
        move || {
            others.block_on(async {
                let look = session(&url).await;
                loop {
                    let waiting = look
                        .query_one("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())", &[])
                        .await
                        .unwrap();
                    if waiting.get::<_, i64>(0) > 0 {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                // One of the two is the victim; whoever it is, both end.
                let _ = other.batch_execute("UPDATE t SET n = n WHERE id = 450").await;
                let _ = other.batch_execute("ROLLBACK").await;
            });
        }
    });
    let told = Told::default();
    let declaration = declared("table=t key=id batch=100", "UPDATE t SET n = n + 1", Dialect::Postgres);
    go(&at(&url), &declaration, &Options { lock_timeout: Duration::from_secs(20), ..small() }, &told)
        .unwrap();
    crossing.join().unwrap();
    assert_eq!(server.psql(&url, "SELECT min(n), max(n) FROM t"), "1|1");
}

#[test]
fn a_table_that_is_dropped_is_named() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    server.psql(&url, SETUP);
    let dropped = AtomicBool::new(false);
    let observer = On(|event: &Event| {
        if matches!(event, Event::Batch { .. }) && !dropped.swap(true, Ordering::SeqCst) {
            server.psql(&url, "DROP TABLE t");
        }
    });
    let declaration = declared("table=t key=id batch=100", "UPDATE t SET n = n + 1", Dialect::Postgres);
    let error = go(&at(&url), &declaration, &small(), &observer).unwrap_err();
    assert_eq!(error.code(), "BKF-023", "{error:?}");
    assert_eq!(server.psql(&url, "SELECT state FROM plimsoll_backfills"), "failed");
    let again = go(&at(&url), &declaration, &small(), &Silent).unwrap_err();
    assert_eq!(again.code(), "BKF-003", "{again:?}");
}

#[test]
fn only_one_process_works_on_a_backfill() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    server.psql(&url, SETUP);
    let declaration = declared("table=t key=id batch=100", "UPDATE t SET n = n + 1", Dialect::Postgres);
    let tried = Mutex::new(None);
    let observer = On(|event: &Event| {
        let mut tried = tried.lock().unwrap();
        if matches!(event, Event::Batch { .. }) && tried.is_none() {
            let (place, declaration) = (at(&url), declaration.clone());
            let other = std::thread::spawn(move || {
                let options = Options { lock_wait: Duration::ZERO, ..small() };
                go(&place, &declaration, &options, &Silent).unwrap_err()
            });
            *tried = Some(other.join().unwrap());
        }
    });
    go(&at(&url), &declaration, &small(), &observer).unwrap();
    let error = tried.into_inner().unwrap().unwrap();
    assert_eq!(error.code(), "BKF-010", "{error:?}");
    assert!(error.found().unwrap().contains("of `postgres` from 127.0.0.1"), "{:?}", error.found());
    assert_eq!(server.psql(&url, "SELECT min(n), max(n) FROM t"), "1|1");
}
