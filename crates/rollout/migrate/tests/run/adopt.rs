//! Databases that other tools migrated so far, with their own tables.

use std::path::Path;

use plimsoll_evidence_migration_lint::{File, Options};
use plimsoll_model::{Class, Diagnose as _, Silent};
use plimsoll_rollout_migrate::{AdoptOptions, AdoptReport, Database, Error, Target};
use plimsoll_testkit::postgres::shared;

use crate::common::{apply, files, options, plan, postgres};

const A: &str = "CREATE TABLE a (n int);\n";
const B: &str = "CREATE TABLE b (n int);\n";

async fn adopt(target: &Target, sql: &[File], options: &AdoptOptions) -> Result<AdoptReport, Error> {
    let mut database = Database::open(target, "test").await?;
    let scripts = database.scripts(sql, &Options::default()).await?;
    database.adopt(&scripts, options).await
}

/// The tables as the tools make them; the checksums are those of `A`.
#[tokio::test]
async fn what_each_tool_recorded_is_taken_over() {
    let Some(server) = shared() else { return };
    // sha384sum and sha256sum of `A`, and flyway's CRC-32 of its line.
    let (sha384, sha256, crc) = sums();
    let cases = [
        (
            ["1_a.sql", "2_b.sql"],
            format!(
                "CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text, installed_on timestamptz \
                 DEFAULT now(), success boolean, checksum bytea, execution_time bigint); \
                 INSERT INTO _sqlx_migrations VALUES (1, 'a', now(), true, '\\x{sha384}', 1)"
            ),
            1,
        ),
        (
            ["V1__a.sql", "V2__b.sql"],
            "CREATE TABLE refinery_schema_history (version int4 PRIMARY KEY, name varchar(255), applied_on varchar(255), \
             checksum varchar(255)); INSERT INTO refinery_schema_history VALUES (1, 'a', 'x', '1')"
                .into(),
            0,
        ),
        (
            ["2026-01-01-000000_a/up.sql", "2026-01-02-000000_b/up.sql"],
            "CREATE TABLE __diesel_schema_migrations (version varchar(50) PRIMARY KEY, run_on timestamp DEFAULT now()); \
             INSERT INTO __diesel_schema_migrations VALUES ('20260101000000')"
                .into(),
            0,
        ),
        (
            ["000001_a.up.sql", "000002_b.up.sql"],
            "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL); \
             INSERT INTO schema_migrations VALUES (1, false)"
                .into(),
            0,
        ),
        (
            ["20260101000000_a/migration.sql", "20260102000000_b/migration.sql"],
            format!(
                "CREATE TABLE _prisma_migrations (id varchar(36) PRIMARY KEY, checksum varchar(64), finished_at timestamptz, \
                 migration_name varchar(255), logs text, rolled_back_at timestamptz, started_at timestamptz DEFAULT now(), \
                 applied_steps_count int); \
                 INSERT INTO _prisma_migrations VALUES ('x', '{sha256}', now(), '20260101000000_a', '', NULL, now(), 1)"
            ),
            1,
        ),
        (
            ["db/migration/V1.0__a.sql", "db/migration/V1.1__b.sql"],
            format!(
                "CREATE TABLE flyway_schema_history (installed_rank int PRIMARY KEY, version varchar(50), description varchar(200), \
                 type varchar(20), script varchar(1000), checksum int, installed_by varchar(100), installed_on timestamp DEFAULT \
                 now(), execution_time int, success boolean); \
                 INSERT INTO flyway_schema_history VALUES (1, '1', 'a', 'SQL', 'V1__a.sql', {crc}, 'me', now(), 1, true)"
            ),
            1,
        ),
    ];
    for ([first, second], table, compared) in cases {
        let url = server.new_database();
        let target = postgres(&url);
        server.psql(&url, A);
        server.psql(&url, &table);
        let sql = files(&[(first, A), (second, B)]);
        // Without being asked, nothing is run a second time.
        let error = apply(&target, &[(first, A), (second, B)], &options(), &Silent).await.unwrap_err();
        assert_eq!((error.class(), error.code()), (Class::Refused, "MGR-003"), "{first}");
        assert_eq!(server.psql(&url, "SELECT to_regclass('plimsoll_migrations') IS NULL"), "t");
        let report = adopt(&target, &sql, &AdoptOptions::default()).await.unwrap();
        assert_eq!(
            (report.adopted.as_slice(), report.compared),
            ([first.to_owned()].as_slice(), compared),
            "{first}"
        );
        let report = apply(&target, &[(first, A), (second, B)], &options(), &Silent).await.unwrap();
        assert_eq!(report.applied[0].path, second);
        // An adoption that was cut short before is as good as none.
        server.psql(
            &url,
            "CREATE TABLE kept AS SELECT * FROM plimsoll_migrations; DELETE FROM plimsoll_migrations",
        );
        assert!(!plan(&target, &[(first, A), (second, B)], &options()).await.allowed);
        server.psql(&url, "INSERT INTO plimsoll_migrations SELECT * FROM kept");
        // Once is enough.
        assert_eq!(adopt(&target, &sql, &AdoptOptions::default()).await.unwrap_err().code(), "MGR-004");
    }
}

fn sums() -> (String, String, i32) {
    let hex = |algorithm| -> String {
        let sum = aws_lc_rs::digest::digest(algorithm, A.as_bytes());
        sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    };
    // `printf 'CREATE TABLE a (n int);' | gzip -c | tail -c 8 | od -An -t d4 -N 4`.
    (hex(&aws_lc_rs::digest::SHA384), hex(&aws_lc_rs::digest::SHA256), CRC)
}

const CRC: i32 = -954861068;

#[tokio::test]
async fn what_failed_or_was_changed_is_not_taken_over() {
    let Some(server) = shared() else { return };
    let cases = [
        (
            "1_a.up.sql",
            "CREATE TABLE schema_migrations (version bigint, dirty boolean); INSERT INTO schema_migrations VALUES (1, true)",
            "dirty",
        ),
        (
            "1_a.up.sql",
            "CREATE TABLE schema_migrations (version bigint, dirty boolean); INSERT INTO schema_migrations VALUES (7, false)",
            "version 7, which is not among the files",
        ),
        (
            "1_a.sql",
            "CREATE TABLE _sqlx_migrations (version bigint, success boolean, checksum bytea); \
             INSERT INTO _sqlx_migrations VALUES (1, true, '\\x00')",
            "`1_a.sql` is not what it was",
        ),
    ];
    for (path, table, why) in cases {
        let url = server.new_database();
        server.psql(&url, table);
        let error = adopt(&postgres(&url), &files(&[(path, A)]), &AdoptOptions::default()).await.unwrap_err();
        assert_eq!(error.code(), "MGR-005");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(server.psql(&url, "SELECT to_regclass('plimsoll_migrations') IS NULL"), "t");
    }
    let url = server.new_database();
    server.psql(&url, cases[2].1);
    let accept = AdoptOptions { accept: ["1_a.sql".to_owned()].into(), ..AdoptOptions::default() };
    assert_eq!(adopt(&postgres(&url), &files(&[("1_a.sql", A)]), &accept).await.unwrap().adopted.len(), 1);
}

#[tokio::test]
async fn a_table_of_that_name_may_be_about_something_else() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    server.psql(&url, "CREATE TABLE schema_migrations (version varchar); INSERT INTO schema_migrations VALUES ('20200101000000')");
    let target = postgres(&url);
    let sql = [("1_a.sql", A)];
    assert_eq!(
        adopt(&target, &files(&sql), &AdoptOptions::default()).await.unwrap().unknown,
        ["20200101000000"]
    );
    assert_eq!(apply(&target, &sql, &options(), &Silent).await.unwrap_err().code(), "MGR-003");
    let mut with = options();
    with.plan.beside_other_tool = true;
    assert_eq!(apply(&target, &sql, &with, &Silent).await.unwrap().applied.len(), 1);
    assert!(apply(&target, &sql, &options(), &Silent).await.unwrap().applied.is_empty());
}

#[tokio::test]
async fn what_was_run_by_hand_is_recorded_up_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = folder.path();
    let target = Target::Sqlite(path.join("app.db"));
    rusqlite::Connection::open(path.join("app.db")).unwrap().execute_batch(A).unwrap();
    let sql = [("1_a.sql", A), ("2_b.sql", B)];
    let error = adopt(&target, &files(&sql), &AdoptOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), "MGR-004");
    let through = AdoptOptions { through: Some("1_a.sql".into()), ..AdoptOptions::default() };
    assert_eq!(adopt(&target, &files(&sql), &through).await.unwrap().adopted, ["1_a.sql"]);
    assert_eq!(plan(&target, &sql, &options()).await.runnable().count(), 1);
    assert_eq!(apply(&target, &sql, &options(), &Silent).await.unwrap().applied.len(), 1);
}

/// Alembic's files note their own version, in its table, which is no change of rows
/// that a service has.
#[tokio::test]
async fn alembic_and_goose_go_on_where_they_are() {
    let Some(server) = shared() else { return };
    let alembic = [
        (
            "01_b6b1.sql",
            "BEGIN;\n\nCREATE TABLE alembic_version (\n    version_num VARCHAR(32) NOT NULL, \n    CONSTRAINT \
             alembic_version_pkc PRIMARY KEY (version_num)\n);\n\n-- Running upgrade  -> b6b1\n\nCREATE TABLE a (n \
             int);\n\nINSERT INTO alembic_version (version_num) VALUES ('b6b1') RETURNING alembic_version.version_num;\n\n\
             COMMIT;\n",
        ),
        (
            "02_52c6.sql",
            "BEGIN;\n\n-- Running upgrade b6b1 -> 52c6\n\nCREATE TABLE b (n int);\n\nUPDATE alembic_version SET \
             version_num='52c6' WHERE alembic_version.version_num = 'b6b1';\n\nCOMMIT;\n",
        ),
    ];
    let goose = [
        ("00001_a.sql", "-- +goose Up\nCREATE TABLE a (n int);\n-- +goose Down\nDROP TABLE a;\n"),
        ("00002_b.sql", "-- +goose Up\nCREATE TABLE b (n int);\n-- +goose Down\nDROP TABLE b;\n"),
    ];
    let goose_ran = "CREATE TABLE a (n int); CREATE TABLE goose_db_version (id serial, version_id bigint, is_applied bool); \
                     INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true), (1, true)";
    for (sql, ran) in [(alembic, alembic[0].1), (goose, goose_ran)] {
        let url = server.new_database();
        let target = postgres(&url);
        server.psql(&url, ran);
        let adopted = adopt(&target, &files(&sql), &AdoptOptions::default()).await.unwrap();
        assert_eq!(adopted.adopted, [sql[0].0]);
        let report = apply(&target, &sql, &options(), &Silent).await.unwrap();
        assert_eq!(report.applied.len(), 1, "{report:?}");
        assert_eq!(server.psql(&url, "SELECT to_regclass('b') IS NULL"), "f");
        if sql == alembic {
            assert_eq!(server.psql(&url, "SELECT version_num FROM alembic_version"), "52c6");
        }
    }
    let url = server.new_database();
    server.psql(&url, alembic[0].1);
    server.psql(&url, "INSERT INTO alembic_version VALUES ('77aa')");
    let error = adopt(&postgres(&url), &files(&alembic), &AdoptOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), "MGR-005");
    assert!(error.to_string().contains("several versions at once: "), "{error}");
}

#[tokio::test]
async fn a_database_that_is_not_there_has_nothing_to_adopt() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::Sqlite(folder.path().join("app.db"));
    let error = adopt(&target, &files(&[("1_a.sql", A)]), &AdoptOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), "MGR-004");
    assert!(!folder.path().join("app.db").exists());
}
