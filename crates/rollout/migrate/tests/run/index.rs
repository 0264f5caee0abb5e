//! Statements outside of transactions, and what a crash leaves of them.

use plimsoll_model::Silent;
use plimsoll_rollout_migrate::State;
use plimsoll_testkit::postgres::shared;

use crate::common::{Heard, apply, options, plan, postgres};

const TABLE: (&str, &str) = ("1_t.sql", "CREATE TABLE t (n int, m int);");
const INDEX: (&str, &str) = ("2_i.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY t_n ON t (n);");

/// As a runner leaves it that was killed after it had written down what it was
/// about to do.
const IN_DOUBT: &str = "INSERT INTO plimsoll_migrations SELECT '2_i.sql', '2', 'sha256:x', class, NULL, origin, \
                        applied_by, 'dead', now(), NULL, 0, 1, 0, NULL, 1, NULL, '[]', 1 FROM plimsoll_migrations";

async fn doubtful(leave: &str) -> Option<(String, Heard, String)> {
    let server = shared()?;
    let url = server.new_database();
    let target = postgres(&url);
    apply(&target, &[TABLE], &options(), &Silent).await.unwrap();
    server.psql(&url, IN_DOUBT);
    server.psql(&url, leave);
    let found = plan(&target, &[TABLE, INDEX], &options()).await;
    assert_eq!(found.files[1].state, State::Interrupted);
    assert!(found.files[1].reason.as_ref().unwrap().contains("looked up"), "{:?}", found.files[1]);
    let heard = Heard::default();
    let result = apply(&target, &[TABLE, INDEX], &options(), &heard).await;
    let ended = result.map_or_else(|error| error.to_string(), |report| report.text());
    Some((url, heard, ended))
}

fn valid(url: &str) -> String {
    shared().unwrap().psql(url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_n'::regclass")
}

#[tokio::test]
async fn an_index_that_is_not_there_is_built() {
    let Some((url, heard, ended)) = doubtful("SELECT 1").await else { return };
    assert_eq!(valid(&url), "t", "{ended}");
    assert!(heard.has(&["CREATE INDEX CONCURRENTLY"]));
}

#[tokio::test]
async fn an_index_that_is_valid_was_built() {
    let Some((url, heard, ended)) = doubtful("CREATE INDEX t_n ON t (n)").await else { return };
    assert_eq!(valid(&url), "t", "{ended}");
    assert!(!heard.has(&["CREATE INDEX CONCURRENTLY"]), "{:?}", heard.notes());
}

#[tokio::test]
async fn an_index_that_is_invalid_is_built_again() {
    let leave = "CREATE INDEX t_n ON t (n); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_n'::regclass";
    let Some((url, heard, ended)) = doubtful(leave).await else { return };
    assert_eq!(valid(&url), "t", "{ended}");
    assert!(heard.has(&["was left invalid", "built again"]), "{:?}", heard.notes());
}

#[tokio::test]
async fn an_index_of_that_name_on_another_table_is_not_touched() {
    let leave = "CREATE TABLE u (n int); CREATE INDEX t_n ON u (n); \
                 UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_n'::regclass";
    let Some((url, _, ended)) = doubtful(leave).await else { return };
    assert!(ended.contains("not on t"), "{ended}");
    assert_eq!(valid(&url), "f");
}

/// It really fails in the middle: two rows are the same.
#[tokio::test]
async fn what_a_failed_build_left_is_cleared_away_by_the_next_attempt() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let target = postgres(&url);
    apply(&target, &[TABLE], &options(), &Silent).await.unwrap();
    server.psql(&url, "INSERT INTO t VALUES (1, 1), (1, 2)");
    let unique =
        ("2_i.sql", "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_n ON t (n);");
    let error = apply(&target, &[TABLE, unique], &options(), &Silent).await.unwrap_err();
    assert!(error.to_string().contains("could not create unique index"), "{error}");
    assert_eq!(valid(&url), "f");
    let again = apply(&target, &[TABLE, unique], &options(), &Silent).await.unwrap_err();
    assert!(again.to_string().contains("could not create unique index"), "{again}");
    server.psql(&url, "DELETE FROM t WHERE m = 2");
    let report = apply(&target, &[TABLE, unique], &options(), &Silent).await.unwrap();
    assert_eq!(report.applied.len(), 1);
    assert_eq!(valid(&url), "t");
}

/// IF NOT EXISTS takes an invalid index for one.
#[tokio::test]
async fn an_invalid_index_does_not_pass_for_one() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let target = postgres(&url);
    apply(&target, &[TABLE], &options(), &Silent).await.unwrap();
    server.psql(
        &url,
        "CREATE INDEX t_n ON t (n); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_n'::regclass",
    );
    let file = ("2_i.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS t_n ON t (n);");
    let heard = Heard::default();
    apply(&target, &[TABLE, file], &options(), &heard).await.unwrap();
    assert_eq!(valid(&url), "t");
    assert!(heard.has(&["was left invalid"]), "{:?}", heard.notes());
}

#[tokio::test]
async fn partitions_are_detached_to_the_end() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let target = postgres(&url);
    let table = (
        "1_t.sql",
        "CREATE TABLE t (n int) PARTITION BY RANGE (n);\nCREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);",
    );
    apply(&target, &[table], &options(), &Silent).await.unwrap();
    server.psql(&url, IN_DOUBT);
    server.psql(&url, "UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 't1'::regclass");
    let file = ("2_i.sql", "-- no-transaction\nALTER TABLE t DETACH PARTITION t1 CONCURRENTLY;");
    let mut with = options();
    with.plan.allow.insert("2_i.sql".into());
    apply(&target, &[table, file], &with, &Silent).await.unwrap();
    assert_eq!(server.psql(&url, "SELECT count(*) FROM pg_inherits WHERE inhparent = 't'::regclass"), "0");
}
