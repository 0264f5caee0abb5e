//! Kinds of keys on SQLite, and what can happen to its file.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use plimsoll_evidence_migration_lint::Dialect;
use plimsoll_model::Diagnose as _;
use plimsoll_rollout_backfill::{Event, Means, Options, Place, Silent};
use plimsoll_testkit::peer;
use rusqlite::Connection;

use crate::common::{On, Told, declared, go, small};

struct Database {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn database(setup: &str) -> Database {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    Connection::open(&path).unwrap().execute_batch(setup).unwrap();
    Database { _folder: folder, path }
}

fn row(path: &Path, sql: &str) -> String {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let width = statement.column_count();
    let value = |row: &rusqlite::Row<'_>| {
        (0..width)
            .map(|at| {
                row.get_ref(at).map(|value| format!("{:?}", rusqlite::types::Value::try_from(value).unwrap()))
            })
            .collect::<Result<Vec<_>, _>>()
    };
    statement.query_row([], value).unwrap().join(" ")
}

const SERIES: &str = "WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < 600)";

#[test]
fn every_kind_of_key_is_walked_once() {
    for (columns, insert, key) in [
        (
            "id INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 0",
            "INSERT INTO t (id) {S} SELECT g * 7 - 900 FROM s",
            "id",
        ),
        (
            "id TEXT NOT NULL PRIMARY KEY, n INT NOT NULL DEFAULT 0",
            "INSERT INTO t (id) {S} SELECT 'ü''' || g FROM s",
            "id",
        ),
        (
            "id BLOB NOT NULL UNIQUE, n INT NOT NULL DEFAULT 0",
            "INSERT INTO t (id) {S} SELECT CAST(g AS BLOB) FROM s",
            "id",
        ),
        (
            "a INT NOT NULL, \"B b\" TEXT NOT NULL, n INT NOT NULL DEFAULT 0, PRIMARY KEY (a, \"B b\")",
            "INSERT INTO t (a, \"B b\") {S} SELECT g % 7, 'x' || g FROM s",
            "a,B_b",
        ),
    ] {
        let (columns, insert) =
            (columns.replace("B b", "B_b"), insert.replace("B b", "B_b").replace("{S}", SERIES));
        for end in ["", " WITHOUT ROWID"] {
            if !end.is_empty() && !columns.contains("PRIMARY") {
                continue;
            }
            let database = database(&format!("CREATE TABLE t ({columns}){end}; {insert};"));
            let declaration =
                declared(&format!("table=t key={key} batch=70"), "UPDATE t SET n = n + 1", Dialect::Sqlite);
            let done = go(&Place::Sqlite(database.path.clone()), &declaration, &small(), &Silent).unwrap();
            assert_eq!((done.proof.rows_changed, done.proof.means), (600, Means::KeyRange), "{columns}");
            assert_eq!(
                row(&database.path, "SELECT min(n), max(n) FROM t"),
                "Integer(1) Integer(1)",
                "{columns}"
            );
        }
    }
}

#[test]
fn a_row_that_does_not_go_through_is_found() {
    let database = database(&format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, n INT NOT NULL DEFAULT 0);
         INSERT INTO t (id, a) {SERIES} SELECT g, nullif(g, 333) FROM s;"
    ));
    let declaration = declared("table=t key=id batch=100", "UPDATE t SET n = a", Dialect::Sqlite);
    let error = go(&Place::Sqlite(database.path.clone()), &declaration, &small(), &Silent).unwrap_err();
    assert_eq!(error.code(), "BKF-020");
    assert!(error.found().unwrap().ends_with("at id 333"), "{:?}", error.found());
    assert_eq!(row(&database.path, "SELECT max(id) FROM t WHERE n > 0"), "Integer(332)");
}

#[test]
fn a_busy_database_is_waited_for() {
    let database = database(&format!(
        "PRAGMA journal_mode = wal; CREATE TABLE t (id INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 0);
         INSERT INTO t (id) {SERIES} SELECT g FROM s;"
    ));
    let other = std::sync::Mutex::new(Connection::open(&database.path).unwrap());
    let locked = AtomicBool::new(false);
    let told = Told::default();
    let observer = On(|event: &Event| {
        plimsoll_rollout_backfill::Observer::report(&told, event);
        match event {
            Event::Batch { .. } if !locked.swap(true, Ordering::SeqCst) => {
                other
                    .lock()
                    .unwrap()
                    .execute_batch("BEGIN IMMEDIATE; UPDATE t SET n = n WHERE id = 1")
                    .unwrap();
            }
            Event::Retry { attempt: 2, .. } => other.lock().unwrap().execute_batch("COMMIT").unwrap(),
            _ => {}
        }
    });
    let options = Options { lock_timeout: Duration::from_millis(50), ..small() };
    let declaration = declared("table=t key=id batch=100", "UPDATE t SET n = n + 1", Dialect::Sqlite);
    go(&Place::Sqlite(database.path.clone()), &declaration, &options, &observer).unwrap();
    assert_eq!(row(&database.path, "SELECT min(n), max(n) FROM t"), "Integer(1) Integer(1)");
    assert!(told.retries()[0].contains("locked"), "{:?}", told.retries());
}

#[test]
fn a_table_that_is_dropped_is_named() {
    let database = database(&format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 0);
         INSERT INTO t (id) {SERIES} SELECT g FROM s;"
    ));
    let observer = On(|event: &Event| {
        if matches!(event, Event::Batch { .. }) {
            Connection::open(&database.path).unwrap().execute_batch("DROP TABLE IF EXISTS t").unwrap();
        }
    });
    let declaration = declared("table=t key=id batch=100", "UPDATE t SET n = n + 1", Dialect::Sqlite);
    let error = go(&Place::Sqlite(database.path.clone()), &declaration, &small(), &observer).unwrap_err();
    assert_eq!(error.code(), "BKF-023", "{error:?}");
}

/// Set in the process that works on a full disk: the database.
const FULL: &str = "PLIMSOLL_TEST_BACKFILL_FULL";

/// The process on the full disk; nothing otherwise.
#[test]
fn on_a_full_disk() {
    let Some(path) = std::env::var_os(FULL) else { return };
    let path = PathBuf::from(path);
    Connection::open(&path)
        .unwrap()
        .execute_batch(&format!(
            "PRAGMA journal_mode = wal; CREATE TABLE t (id INTEGER PRIMARY KEY, pad BLOB, n INT NOT NULL DEFAULT 0);
             INSERT INTO t (id) {SERIES} SELECT g FROM s;"
        ))
        .unwrap();
    let declaration =
        declared("table=t key=id batch=50", "UPDATE t SET n = n + 1, pad = zeroblob(4000)", Dialect::Sqlite);
    let place = Place::Sqlite(path.clone());
    let error = go(&place, &declaration, &Options { least_rows: 50, ..small() }, &Silent).unwrap_err();
    assert_eq!(error.code(), "BKF-022", "{error:?}");
    let kept = row(&path, "SELECT count(*) FROM t WHERE n = 1");
    println!("{kept}");
    assert_eq!(row(&path, "SELECT max(n) FROM t"), "Integer(1)");
    assert_eq!(kept, row(&path, "SELECT rows_changed FROM plimsoll_backfills"));
    // Room is made: it goes on.
    std::fs::remove_file(path.with_file_name("ballast")).unwrap();
    go(&place, &declaration, &small(), &Silent).unwrap();
    assert_eq!(row(&path, "SELECT min(n), max(n) FROM t"), "Integer(1) Integer(1)");
    println!("went on");
}

#[test]
fn a_full_disk_keeps_whole_batches_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    // A small disk in a namespace of its own, most of it taken.
    let script = "mount -t tmpfs -o size=12m tmpfs \"$1\" || exit 77; head -c 10000000 /dev/zero > \"$1/ballast\"; \
                  exec \"$2\" --exact sqlite::on_a_full_disk --nocapture";
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, "sh"]).arg(folder.path()).arg(std::env::current_exe().unwrap());
    command.env(FULL, folder.path().join("app.db")).stdin(Stdio::null()).stdout(Stdio::piped());
    let Some(mut child) = peer::need("unshare (util-linux)", command.spawn().ok()) else { return };
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap();
    let namespaces = (status.code() != Some(77) && !said.is_empty()).then_some(());
    if peer::need("user namespaces with a tmpfs", namespaces).is_none() {
        return;
    }
    assert!(status.success() && said.contains("went on"), "{said}");
}
