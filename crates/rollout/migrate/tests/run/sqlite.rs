//! The same on SQLite.

use std::path::Path;
use std::time::Duration;

use plimsoll_model::{Class, Diagnose as _, Silent};
use plimsoll_rollout_migrate::{Changed, Error, State, Target};
use rusqlite::Connection;

use crate::common::{Heard, apply, options, plan, until};

const USERS: (&str, &str) = (
    "1_users.sql",
    "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT);\n\
     CREATE TABLE posts (id INTEGER PRIMARY KEY, of INTEGER REFERENCES users (id) ON DELETE CASCADE);",
);

fn target(folder: &Path) -> Target {
    Target::Sqlite(folder.join("app.db"))
}

fn value<T: rusqlite::types::FromSql>(folder: &Path, sql: &str) -> T {
    Connection::open(folder.join("app.db")).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn change(folder: &Path, sql: &str) {
    Connection::open(folder.join("app.db")).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn each_file_runs_once_and_what_fails_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, target) = (folder.path(), target(folder.path()));
    // Looking makes nothing, not even the file.
    assert!(!plan(&target, &[USERS], &options()).await.has_table);
    assert!(!path.join("app.db").exists());
    let files = [USERS, ("2_bad.sql", "CREATE TABLE a (n);\nINSERT INTO nowhere VALUES (1);")];
    let error = apply(&target, &files, &options(), &Silent).await.unwrap_err();
    let Error::Statement { place, changed, message, .. } = &error else { panic!("{error:?}") };
    assert_eq!(place.to_string(), "2_bad.sql:2:1 (statement 2 of 2)");
    assert_eq!(**changed, Changed::Files(vec!["1_users.sql".into()]));
    assert!(message.contains("nowhere"));
    assert!(!value::<bool>(path, "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'a')"));
    let files = [USERS, ("2_bad.sql", "CREATE TABLE a (n);")];
    assert_eq!(apply(&target, &files, &options(), &Silent).await.unwrap().applied.len(), 1);
    assert_eq!(apply(&target, &files, &options(), &Silent).await.unwrap().already, 2);
    let finished: String = value(path, "SELECT finished_at FROM plimsoll_migrations LIMIT 1");
    assert!(finished.ends_with('Z') && finished.len() == 24, "{finished}");
    let edited = [USERS, ("2_bad.sql", "CREATE TABLE a (n, m);")];
    assert_eq!(apply(&target, &edited, &options(), &Silent).await.unwrap_err().class(), Class::Integrity);
}

/// The way in which SQLite changes a table. Were the PRAGMA within the transaction, it
/// would do nothing, and DROP TABLE would delete every post.
#[tokio::test]
async fn a_table_is_made_again_without_losing_what_refers_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, target) = (folder.path(), target(folder.path()));
    apply(&target, &[USERS], &options(), &Silent).await.unwrap();
    change(path, "INSERT INTO users VALUES (1, 'a'), (2, 'b'); INSERT INTO posts VALUES (1, 1), (2, 2)");
    let again = |keep: &str| {
        format!(
            "PRAGMA foreign_keys=OFF;\nCREATE TABLE new_users (id INTEGER PRIMARY KEY, email TEXT, age INTEGER);\n\
             INSERT INTO new_users (id, email) SELECT id, email FROM users {keep};\nDROP TABLE users;\n\
             ALTER TABLE new_users RENAME TO users;\nPRAGMA foreign_keys=ON;"
        )
    };
    let mut with = options();
    with.plan.allow.insert("2_age.sql".into());
    // One that leaves posts without their user is not committed.
    let error =
        apply(&target, &[USERS, ("2_age.sql", &again("WHERE id = 1"))], &with, &Silent).await.unwrap_err();
    assert!(error.to_string().contains("refer to rows that are not there"), "{error}");
    assert_eq!(value::<i64>(path, "SELECT count(*) FROM users"), 2);
    assert_eq!(
        plan(&target, &[USERS, ("2_age.sql", &again(""))], &with).await.files[1].state,
        State::Interrupted
    );
    apply(&target, &[USERS, ("2_age.sql", &again(""))], &with, &Silent).await.unwrap();
    assert_eq!(value::<i64>(path, "SELECT count(*) FROM posts JOIN users ON users.id = of"), 2);
    assert_eq!(value::<i64>(path, "SELECT count(age) FROM users"), 0);
}

#[tokio::test]
async fn a_full_disk_leaves_what_was_and_the_next_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (path, target) = (folder.path(), target(folder.path()));
    apply(&target, &[USERS], &options(), &Silent).await.unwrap();
    let rows = "CREATE TABLE big AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5000) \
                SELECT n, hex(zeroblob(100)) AS x FROM c;";
    let full = format!("PRAGMA max_page_count=20;\n{rows}");
    let error = apply(&target, &[USERS, ("2_big.sql", &full)], &options(), &Silent).await.unwrap_err();
    assert!(matches!(error, Error::Sqlite { full: true, .. }), "{error:?}");
    assert_eq!(error.class(), Class::Failed);
    assert_eq!(
        error.changed(),
        Changed::Part { files: Vec::new(), path: "2_big.sql".into(), done: 1, of: 2 }
    );
    assert!(!value::<bool>(path, "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'big')"));
    assert_eq!(value::<String>(path, "PRAGMA integrity_check"), "ok");
    let state = plan(&target, &[USERS, ("2_big.sql", &full)], &options()).await;
    assert_eq!((state.files[1].state, state.files[1].done), (State::Interrupted, 1));
    // The setting is done; with another bound it cannot be done again, and it has to.
    let error = apply(&target, &[USERS, ("2_big.sql", &full)], &options(), &Silent).await.unwrap_err();
    assert!(matches!(error, Error::Sqlite { full: true, .. }), "{error:?}");
    change(path, "DELETE FROM plimsoll_migrations WHERE version = '2'");
    assert_eq!(
        apply(&target, &[USERS, ("2_big.sql", rows)], &options(), &Silent).await.unwrap().applied.len(),
        1
    );
}

#[tokio::test]
async fn a_file_that_somebody_writes_to_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let target = target(folder.path());
    apply(&target, &[USERS], &options(), &Silent).await.unwrap();
    let other = Connection::open(folder.path().join("app.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let files = [USERS, ("2_a.sql", "CREATE TABLE a (n);")];
    let mut with = options();
    with.timeouts.lock = Duration::from_millis(50);
    let error = apply(&target, &files, &with, &Silent).await.unwrap_err();
    assert_eq!(error.code(), "MGR-007");
    with.timeouts.attempts = 1000;
    let heard = Heard::default();
    let letting_go = async {
        until("it waits", async || heard.has(&["no lock within the time"])).await;
        other.execute_batch("COMMIT").unwrap();
    };
    let (report, ()) = tokio::join!(apply(&target, &files, &with, &heard), letting_go);
    assert_eq!(report.unwrap().applied.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_runners_each_file_is_run_by_one() {
    let many: Vec<(String, String)> =
        (1..=30).map(|at| (format!("{at:03}_t.sql"), format!("CREATE TABLE t{at} (n);"))).collect();
    let files: Vec<(&str, &str)> = many.iter().map(|(path, sql)| (path.as_str(), sql.as_str())).collect();
    let folder = tempfile::tempdir().unwrap();
    let target = target(folder.path());
    apply(&target, &files[..1], &options(), &Silent).await.unwrap();
    let mut with = options();
    (with.timeouts.lock, with.timeouts.attempts) = (Duration::from_secs(5), 100);
    let (one, two) =
        tokio::join!(apply(&target, &files, &with, &Silent), apply(&target, &files, &with, &Silent));
    assert_eq!(one.unwrap().applied.len() + two.unwrap().applied.len(), 29);
}

#[tokio::test]
async fn what_is_cancelled_is_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    let target = target(folder.path());
    apply(&target, &[USERS], &options(), &Silent).await.unwrap();
    let endless = "CREATE TABLE a (n);\nCREATE TABLE big AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) \
                   SELECT n FROM c;";
    let heard = Heard::default();
    let with = options();
    let files = [USERS, ("2_a.sql", endless)];
    tokio::select! {
        _ = apply(&target, &files, &with, &heard) => panic!("it ends"),
        () = until("it runs", async || heard.has(&["statement 2 of 2"])) => {}
    }
    let mut patient = options();
    patient.timeouts.attempts = 1000;
    let files = [USERS, ("2_a.sql", "CREATE TABLE a (n);")];
    assert_eq!(apply(&target, &files, &patient, &Silent).await.unwrap().applied.len(), 1);
    // The same by its own time.
    let mut short = options();
    short.timeouts.statement = Some(Duration::from_millis(100));
    let files = [USERS, files[1], ("3_b.sql", &endless.replace(" a ", " b "))];
    let error = apply(&target, &files, &short, &Silent).await.unwrap_err();
    assert!(matches!(error, Error::Statement { too_long: true, .. }), "{error:?}");
}
