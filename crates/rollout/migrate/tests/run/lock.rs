//! Locks: of other runners, and of the users' queries.

use std::time::{Duration, Instant};

use plimsoll_database::{Connection, Options, connect};
use plimsoll_model::{Class, Diagnose as _, Secret, Silent};
use plimsoll_rollout_migrate::{Database, Error};
use plimsoll_testkit::postgres::shared;

use crate::common::{Heard, apply, options, postgres, scripts, until};

const TABLE: (&str, &str) = ("1_t.sql", "CREATE TABLE t (n int);");
const COLUMN: (&str, &str) = ("2_c.sql", "ALTER TABLE t ADD COLUMN secret text;");

async fn session(url: &str, name: &str) -> Connection {
    let options = Options { application_name: name.into(), ..Options::default() };
    connect(&Secret::new(url), &options).await.unwrap()
}

#[tokio::test]
async fn a_lock_that_is_never_granted_ends_with_who_holds_it_and_blocks_nobody_for_long() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let target = postgres(&url);
    apply(&target, &[TABLE], &options(), &Silent).await.unwrap();
    let holder = session(&url, "reporting").await;
    holder.batch_execute("BEGIN; SELECT * FROM t WHERE n = 4711").await.unwrap();
    let heard = Heard::default();
    let mut with = options();
    with.timeouts.lock = Duration::from_millis(600);
    let files = [TABLE, COLUMN];
    let migrating = apply(&target, &files, &with, &heard);
    // Others who read meanwhile wait no longer than the lock timeout.
    let reading = async {
        let reader = session(&url, "api").await;
        until("the migration waits", async || heard.has(&["waits for pid"])).await;
        let began = Instant::now();
        reader.batch_execute("SELECT * FROM t").await.unwrap();
        began.elapsed()
    };
    let (result, waited) = tokio::join!(migrating, reading);
    let error = result.unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Failed, "MGR-007"));
    let Error::LockNotGranted { attempts, blockers, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*attempts, blockers[0].application.as_str()), (3, "reporting"));
    assert_eq!(blockers[0].state, "idle in transaction");
    let found = error.found().unwrap();
    assert!(found.contains("SELECT * FROM t WHERE n = ?") && !found.contains("4711"), "{found}");
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    // Let go, it is done.
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(apply(&target, &[TABLE, COLUMN], &options(), &Silent).await.unwrap().applied.len(), 1);
}

#[tokio::test]
async fn of_two_runners_one_waits_and_says_for_whom() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let target = postgres(&url);
    apply(&target, &[TABLE], &options(), &Silent).await.unwrap();
    let holder = session(&url, "reporting").await;
    holder.batch_execute("BEGIN; SELECT * FROM t").await.unwrap();
    let mut patient = options();
    patient.timeouts.lock = Duration::from_secs(20);
    let (first, second) = (Heard::default(), Heard::default());
    let files = [TABLE, COLUMN];
    let one = apply(&target, &files, &patient, &first);
    let two = async {
        until("the first waits", async || first.has(&["waits for pid"])).await;
        apply(&target, &files, &patient, &second).await
    };
    let letting_go = async {
        until("the second waits", async || {
            second.has(&["waiting for another runner", "plimsoll migrate test"])
        })
        .await;
        let mut looking = Database::open(&target, "someone").await.unwrap();
        let scripts = scripts(&mut looking, &files).await.unwrap();
        let status = looking.status(&scripts, &patient.plan).await.unwrap();
        assert!(status.holder.unwrap().contains("plimsoll migrate test"));
        holder.batch_execute("COMMIT").await.unwrap();
    };
    let (one, two, ()) = tokio::join!(one, two, letting_go);
    assert_eq!((one.unwrap().applied.len(), two.unwrap().applied.len()), (1, 0));

    let mut hasty = options();
    hasty.timeouts.runner = Duration::ZERO;
    holder.batch_execute("SELECT pg_advisory_lock(1886153069, 1835624306)").await.unwrap();
    let error = apply(&target, &files, &hasty, &Silent).await.unwrap_err();
    assert_eq!(error.code(), "MGR-006");
    assert!(error.found().unwrap().contains("reporting"), "{:?}", error.found());
}

/// A runner that waits in the server for the lock, as others do, holds a snapshot, and
/// the index of the other runner waits for that snapshot: for ever.
#[tokio::test]
async fn two_runners_and_an_index_do_not_wait_for_each_other() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let target = postgres(&url);
    apply(&target, &[TABLE], &options(), &Silent).await.unwrap();
    let index = ("3_i.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY t_n ON t (n);");
    let files = [TABLE, index];
    let (a, b) = (options(), options());
    let both =
        async { tokio::join!(apply(&target, &files, &a, &Silent), apply(&target, &files, &b, &Silent)) };
    let (a, b) = tokio::time::timeout(Duration::from_secs(20), both).await.expect("no deadlock");
    assert_eq!(a.unwrap().applied.len() + b.unwrap().applied.len(), 1);
    assert_eq!(server.psql(&url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_n'::regclass"), "t");
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let mut with = options();
    with.timeouts.statement = Some(Duration::from_millis(200));
    let error =
        apply(&postgres(&url), &[("1_s.sql", "SELECT pg_sleep(60);")], &with, &Silent).await.unwrap_err();
    assert!(matches!(error, Error::Statement { too_long: true, .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("--statement-timeout"));
}

/// Dropped in the middle, nothing is left, and the lock is free within seconds.
#[tokio::test]
async fn what_is_cancelled_leaves_nothing() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let target = postgres(&url);
    let slow = [("1_s.sql", "CREATE TABLE a (n int);\nSELECT pg_sleep(60);")];
    let heard = Heard::default();
    let with = options();
    tokio::select! {
        _ = apply(&target, &slow, &with, &heard) => panic!("it ends too early"),
        () = until("it sleeps", async || heard.has(&["statement 2 of 2"])) => {}
    }
    let began = Instant::now();
    let report = apply(&target, &[("1_s.sql", "CREATE TABLE a (n int);")], &with, &Silent).await.unwrap();
    assert_eq!(report.applied.len(), 1);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

/// As behind a pooler that gives each transaction another session.
#[tokio::test]
async fn a_lock_that_is_not_held_any_more_is_noticed() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let files = [("1_u.sql", "SELECT pg_advisory_unlock_all();"), ("2_t.sql", "CREATE TABLE t (n int);")];
    let heard = Heard::default();
    let report = apply(&postgres(&url), &files, &options(), &heard).await.unwrap();
    assert_eq!(report.applied.len(), 2);
    assert!(
        heard.has(&["the lock on the migrations", "was lost", "connecting again"]),
        "{:?}",
        heard.notes()
    );
}
