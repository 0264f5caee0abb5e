//! Kinds of keys and statements on PostgreSQL.

use plimsoll_evidence_migration_lint::Dialect;
use plimsoll_rollout_backfill::{Event, Means, Options, Silent};
use plimsoll_testkit::postgres::shared;

use crate::common::{On, Told, at, declared, go, small};

/// Makes a table with a counter, walks over it in small batches, and sees that each
/// row was counted once.
#[track_caller]
fn counted(setup: &str, table: &str, key: &str) {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    server.psql(&url, setup);
    let words = format!("table={table} key={key} batch=70");
    let quoted: Vec<String> = table.split('.').map(|part| format!("\"{part}\"")).collect();
    let sql = format!("UPDATE {} AS t SET n = n + 1", quoted.join("."));
    let done = go(&at(&url), &declared(&words, &sql, Dialect::Postgres), &small(), &Silent).unwrap();
    let rows = server.psql(&url, &format!("SELECT count(*), min(n), max(n) FROM {}", quoted.join(".")));
    assert_eq!(rows, format!("{}|1|1", done.proof.rows_changed), "{setup}");
    assert_eq!(done.proof.means, Means::KeyRange);
    assert!(done.proof.rows_changed >= 500, "{setup}");
}

#[test]
fn whole_numbers_of_every_size_with_gaps_and_below_zero() {
    for of in ["smallint", "integer", "bigint", "numeric"] {
        counted(
            &format!(
                "CREATE TABLE t (id {of} PRIMARY KEY, n int NOT NULL DEFAULT 0);
                 INSERT INTO t (id) SELECT g * 7 - 2000 FROM generate_series(1, 600) g"
            ),
            "t",
            "id",
        );
    }
}

#[test]
fn uuids_dates_and_times() {
    for (of, value) in [
        ("uuid", "md5(g::text)::uuid"),
        ("date", "date '0044-03-15 BC' + g * 1000"),
        ("timestamp", "timestamp '2026-01-01' + g * interval '1 microsecond'"),
        ("timestamptz", "timestamptz '2026-10-25 00:00:00+00' + g * interval '7 minutes'"),
    ] {
        counted(
            &format!(
                "ALTER ROLE postgres IN DATABASE postgres SET datestyle = 'German';
                 CREATE TABLE t (at {of} PRIMARY KEY, n int NOT NULL DEFAULT 0);
                 INSERT INTO t (at) SELECT {value} FROM generate_series(1, 600) g"
            ),
            "t",
            "at",
        );
    }
}

#[test]
fn texts_with_whatever_is_in_them() {
    for of in ["text", "varchar(50)", "char(50)"] {
        counted(
            &format!(
                "CREATE TABLE t (name {of} PRIMARY KEY, n int NOT NULL DEFAULT 0);
                 INSERT INTO t (name) SELECT CASE g % 4 WHEN 0 THEN 'a''b' WHEN 1 THEN '\\\"\\n' WHEN 2 THEN 'ü$1' \
                 ELSE '' END || g FROM generate_series(1, 600) g;
                 INSERT INTO t (name) VALUES ('')"
            ),
            "t",
            "name",
        );
    }
}

#[test]
fn several_columns_names_in_capitals_and_other_schemas() {
    counted(
        "CREATE SCHEMA \"Billing\";
         CREATE TABLE \"Billing\".\"Items\" (\"Tenant\" int, no text, n int NOT NULL DEFAULT 0, PRIMARY KEY (\"Tenant\", no));
         INSERT INTO \"Billing\".\"Items\" SELECT g % 7, 'x' || g FROM generate_series(1, 600) g",
        "Billing.Items",
        "Tenant,no",
    );
}

#[test]
fn partitions_are_walked_as_one_table() {
    counted(
        "CREATE TABLE t (tenant int, id bigint, n int NOT NULL DEFAULT 0, PRIMARY KEY (tenant, id)) PARTITION BY LIST (tenant);
         CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1, 3); CREATE TABLE t2 PARTITION OF t DEFAULT;
         INSERT INTO t SELECT g % 5, g FROM generate_series(1, 600) g",
        "t",
        "tenant,id",
    );
}

#[test]
fn rows_that_are_written_behind_are_found_by_the_last_look() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    server.psql(
        &url,
        "CREATE TABLE users (id bigint PRIMARY KEY, email text, name text);
         INSERT INTO users SELECT g * 10, 'e' || g FROM generate_series(1, 1000) g;
         INSERT INTO users VALUES (1, NULL, 'kept')",
    );
    let sql = "UPDATE users SET name = coalesce(email, '') WHERE name IS NULL";
    let declaration = declared("table=users key=id batch=100", sql, Dialect::Postgres);
    let observer = On(|event: &Event| {
        if let Event::Batch { pass: 1, rows_walked: 500, .. } = event {
            server.psql(&url, "INSERT INTO users VALUES (15, 'behind')");
        }
        if let Event::Checking { pass: 1, .. } = event {
            server.psql(&url, "INSERT INTO users VALUES (999999, 'beyond')");
        }
    });
    let done = go(&at(&url), &declaration, &small(), &observer).unwrap();
    assert_eq!(done.proof.means, Means::NoRowLeft);
    assert_eq!(done.proof.rows_changed, 1002);
    assert_eq!(server.psql(&url, "SELECT count(*) FROM users WHERE name IS NULL"), "0");
    assert_eq!(server.psql(&url, "SELECT pass > 1, state FROM plimsoll_backfills"), "t|finished");
}

#[test]
fn a_statement_that_cannot_finish_a_row_says_so() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    server.psql(
        &url,
        "CREATE TABLE users (id bigint PRIMARY KEY, email text, name text);
         INSERT INTO users SELECT g, nullif('e' || g, 'e7') FROM generate_series(1, 100) g",
    );
    let sql = "UPDATE users SET name = email WHERE name IS NULL";
    let declaration = declared("table=users key=id", sql, Dialect::Postgres);
    let error = go(&at(&url), &declaration, &Options::default(), &Silent).unwrap_err();
    // The second pass sets NULL again.
    assert_eq!(
        plimsoll_model::Diagnose::hint(&error).unwrap().split(". ").next().unwrap(),
        "rows are still written in the old shape",
        "{error:?}"
    );
}

#[test]
fn copies_and_removals_run_in_batches_too() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    server.psql(
        &url,
        "CREATE TABLE users (id bigint PRIMARY KEY, gone bool);
         CREATE TABLE copy (id bigint PRIMARY KEY, label text);
         INSERT INTO users SELECT g, g % 3 = 0 FROM generate_series(1, 900) g;
         INSERT INTO copy VALUES (5, 'old')",
    );
    let copy = "INSERT INTO copy SELECT u.id, '$1' || u.id FROM users u WHERE NOT EXISTS \
                (SELECT 1 FROM copy c WHERE c.id = u.id)";
    let copy = declared("table=users key=id name=copy batch=50", copy, Dialect::Postgres);
    let done = go(&at(&url), &copy, &small(), &Silent).unwrap();
    assert_eq!((done.proof.rows_changed, done.proof.means), (899, Means::NoRowLeft));
    assert_eq!(
        server.psql(&url, "SELECT count(*), count(*) FILTER (WHERE label = '$1' || id) FROM copy"),
        "900|899"
    );
    let delete = declared("table=users key=id name=gone", "DELETE FROM users WHERE gone", Dialect::Postgres);
    let done = go(&at(&url), &delete, &small(), &Silent).unwrap();
    assert_eq!((done.proof.rows_changed, done.proof.means), (300, Means::NoRowLeft));
    assert_eq!(server.psql(&url, "SELECT count(*) FROM users"), "600");
}

#[test]
fn a_row_that_does_not_go_through_is_named_and_all_before_it_is_kept() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    server.psql(
        &url,
        "CREATE TABLE t (id bigint PRIMARY KEY, d int, n int NOT NULL DEFAULT 0);
         INSERT INTO t SELECT g, CASE g WHEN 777 THEN 0 ELSE 1 END FROM generate_series(1, 1000) g",
    );
    let declaration = declared("table=t key=id batch=100", "UPDATE t SET n = n + 1 / d", Dialect::Postgres);
    let error = go(&at(&url), &declaration, &small(), &Silent).unwrap_err();
    assert_eq!(plimsoll_model::Diagnose::found(&error).unwrap(), "division by zero (22012), at id 777");
    assert_eq!(
        server.psql(&url, "SELECT count(*) FILTER (WHERE n = 1), max(id) FILTER (WHERE n = 1) FROM t"),
        "776|776"
    );
    server.psql(&url, "UPDATE t SET d = 1 WHERE id = 777");
    go(&at(&url), &declaration, &small(), &Silent).unwrap();
    assert_eq!(server.psql(&url, "SELECT min(n), max(n) FROM t"), "1|1");
}

#[test]
fn slow_rows_make_batches_small_enough() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    server.psql(
        &url,
        "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);
         INSERT INTO t SELECT g FROM generate_series(1, 300) g;
         CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN PERFORM pg_sleep(0.004); RETURN NEW; END';
         CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    let declaration = declared("table=t key=id batch=300", "UPDATE t SET n = n + 1", Dialect::Postgres);
    let options = Options {
        statement_timeout: std::time::Duration::from_millis(700),
        least_rows: 10,
        ..Options::default()
    };
    let told = Told::default();
    go(&at(&url), &declaration, &options, &told).unwrap();
    assert_eq!(server.psql(&url, "SELECT min(n), max(n) FROM t"), "1|1");
    assert!(told.retries()[0].contains("statement timeout"), "{:?}", told.retries());
}
