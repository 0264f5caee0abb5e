//! What the database has not: refused before anything is changed.

use plimsoll_evidence_migration_lint::Dialect;
use plimsoll_model::Diagnose as _;
use plimsoll_rollout_backfill::{Error, Place, Silent};
use plimsoll_testkit::postgres::shared;

use crate::common::{at, declared, go, small};

#[track_caller]
fn refused(place: &Place, dialect: Dialect, words: &str, sql: &str) -> String {
    let error = go(place, &declared(words, sql, dialect), &small(), &Silent).unwrap_err();
    assert_eq!(error.code(), "BKF-003", "{error:?}");
    let Error::NotInDatabase { why, hint, origin, .. } = error else { panic!("{error:?}") };
    assert_eq!(origin.to_string(), "7_backfill.sql:2:1");
    format!("{why} | {hint}")
}

#[test]
fn postgres_says_what_is_missing() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    server.psql(
        &url,
        "CREATE TABLE t (id bigint PRIMARY KEY, a int, b int NOT NULL, c int NOT NULL, d jsonb NOT NULL, n int);
         CREATE UNIQUE INDEX ON t (a); CREATE UNIQUE INDEX ON t (b) WHERE b > 0; CREATE INDEX ON t (c);
         CREATE UNIQUE INDEX ON t (c, b DESC); CREATE UNIQUE INDEX ON t (c, id) INCLUDE (n);
         CREATE VIEW v AS SELECT * FROM t; CREATE TABLE bare (x int NOT NULL)",
    );
    let place = at(&url);
    let say = |words: &str, sql: &str| refused(&place, Dialect::Postgres, words, sql);
    let update = "UPDATE t SET n = 1";
    assert!(
        say("table=nope key=id", "UPDATE nope SET n = 1")
            .starts_with("there is no table `nope` | run `plimsoll migrate apply`")
    );
    assert!(say("table=v key=id", "UPDATE v SET n = 1").starts_with("`v` is no table"));
    assert!(
        say("table=t key=x", update)
            .starts_with("`t` has no column `x` | walk by one that has: key=id or key=c,id")
    );
    assert!(say("table=t key=a", update).starts_with("`a` may be NULL"));
    assert!(say("table=t key=b", update).starts_with("`t` has no unique index on exactly (b)"));
    assert!(say("table=t key=c", update).starts_with("`t` has no unique index on exactly (c)"));
    assert!(say("table=t key=id,c", update).starts_with("`t` has no unique index on exactly (id, c)"));
    assert!(
        say("table=t key=c,b", update).contains("no unique index"),
        "mixed directions are no order of rows"
    );
    assert!(say("table=t key=d", update).starts_with("`d` is of type jsonb"));
    assert!(
        say("table=t key=id", "UPDATE t SET nope = 1").contains("\"nope\" of relation \"t\" does not exist")
    );
    go(&place, &declared("table=t key=c,id", update, Dialect::Postgres), &small(), &Silent).unwrap();
}

#[test]
fn sqlite_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let place = Place::Sqlite(path.clone());
    let absent =
        go(&place, &declared("table=t key=id", "UPDATE t SET n = 1", Dialect::Sqlite), &small(), &Silent);
    assert_eq!(absent.unwrap_err().code(), "BKF-031", "a file that is not there is not made");
    assert!(!path.exists());
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT UNIQUE, b INT NOT NULL, n INT);
             CREATE UNIQUE INDEX b ON t (b) WHERE b > 0; CREATE TABLE words (word TEXT PRIMARY KEY, n INT);
             CREATE VIEW v AS SELECT * FROM t",
        )
        .unwrap();
    let say = |words: &str, sql: &str| refused(&place, Dialect::Sqlite, words, sql);
    assert!(say("table=nope key=id", "UPDATE nope SET n = 1").starts_with("there is no table `nope`"));
    assert!(say("table=v key=id", "UPDATE v SET n = 1").starts_with("`v` is no table"));
    assert!(
        say("table=t key=x", "UPDATE t SET n = 1")
            .starts_with("`t` has no column `x` | walk by one that has: key=id")
    );
    assert!(say("table=t key=a", "UPDATE t SET n = 1").starts_with("`a` may be NULL"));
    assert!(say("table=t key=b", "UPDATE t SET n = 1").starts_with("`t` has no unique index on exactly (b)"));
    assert!(say("table=words key=word", "UPDATE words SET n = 1").starts_with("`word` may be NULL"));
    assert!(say("table=t key=id", "UPDATE t SET nope = 1").contains("no such column: nope"));
}
