//! `kill -9` anywhere, again and again: each row is changed exactly once.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_evidence_migration_lint::Dialect;
use plimsoll_rollout_backfill::{Declaration, Event, Options, Place, Silent};
use plimsoll_testkit::postgres::{Settings, server};

use crate::common::{On, at, declared, go};

/// Set in the process that is killed: where to work.
const PLACE: &str = "PLIMSOLL_TEST_BACKFILL_PLACE";

fn declaration(dialect: Dialect) -> Declaration {
    declared("table=t key=id batch=40", "UPDATE t SET n = n + 1", dialect)
}

fn options() -> Options {
    // Batches that stay small, so that there are many moments to be killed at.
    Options { most_rows: 40, lock_wait: Duration::from_secs(30), ..Options::default() }
}

/// The process that is killed; nothing otherwise.
#[test]
fn victim() {
    let Ok(place) = std::env::var(PLACE) else { return };
    let observer = On(|event: &Event| {
        if matches!(event, Event::Batch { .. }) {
            println!("batch");
        }
    });
    let (place, dialect) = match place.strip_prefix("sqlite://") {
        Some(path) => (Place::Sqlite(path.into()), Dialect::Sqlite),
        None => (at(&place), Dialect::Postgres),
    };
    go(&place, &declaration(dialect), &options(), &observer).unwrap();
}

fn spawn(place: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "kill::victim", "--nocapture", "-q"]);
    command.env(PLACE, place).stdin(Stdio::null()).stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// Kills after so many batches and a moment more; whether it was still at work.
fn kill_after(place: &str, batches: usize, moment: Duration) -> bool {
    let mut child = spawn(place);
    // It is read to the end of the process: one that cannot write ends by itself.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let seen = lines.by_ref().filter(|line| line.ends_with("batch")).take(batches).count();
    // A moment within the next batch: waited for by the clock alone, since nothing
    // tells of it.
    let until = Instant::now() + moment;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    let at_work = seen == batches && child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    drop(lines);
    at_work
}

/// Until it ends by itself; how often it was killed.
fn rounds(place: &str, seed: u64) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut killed = 0;
    while kill_after(place, random.usize(1..6), Duration::from_micros(random.u64(0..4_000))) {
        killed += 1;
    }
    killed
}

/// How often it is killed at least, on as many databases as that takes: how far one
/// gets before it is killed is the machine's to say.
const KILLS: usize = 12;

#[test]
fn postgres_has_each_row_once() {
    let Some(server) = server(&Settings::default()) else { return };
    let mut killed = 0;
    for seed in 0.. {
        let url = server.new_database();
        server.psql(
            &url,
            "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);
             INSERT INTO t SELECT g * 3 FROM generate_series(1, 4000) g",
        );
        killed += rounds(&url, seed);
        go(&at(&url), &declaration(Dialect::Postgres), &options(), &Silent).unwrap();
        assert_eq!(server.psql(&url, "SELECT count(*), min(n), max(n) FROM t"), "4000|1|1");
        let kept = server.psql(&url, "SELECT state, rows_walked, rows_changed FROM plimsoll_backfills");
        assert_eq!(kept, "finished|4000|4000", "after {killed} kills");
        if killed >= KILLS {
            break;
        }
        assert!(seed < 20, "{killed} kills on {seed} databases");
    }
}

#[test]
fn sqlite_has_each_row_once() {
    for mode in ["delete", "wal"] {
        let mut killed = 0;
        for seed in 0.. {
            killed += sqlite_once(mode, seed);
            if killed >= KILLS {
                break;
            }
            assert!(seed < 20, "{mode}: {killed} kills on {seed} databases");
        }
    }
}

/// One database; how often it was killed.
fn sqlite_once(mode: &str, seed: u64) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = {mode}; CREATE TABLE t (id INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 0);
             WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < 3000)
             INSERT INTO t (id) SELECT g * 3 FROM s;"
        ))
        .unwrap();
    let killed = rounds(&format!("sqlite://{}", path.display()), seed);
    go(&Place::Sqlite(path), &declaration(Dialect::Sqlite), &options(), &Silent).unwrap();
    let found = connection
        .query_row("SELECT count(*), min(n), max(n) FROM t", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })
        .unwrap();
    assert_eq!(found, (3000, 1, 1), "{mode}, after {killed} kills");
    killed
}
