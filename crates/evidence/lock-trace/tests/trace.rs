//! What statements really do, on a real PostgreSQL.

use std::time::{Duration, Instant};

use plimsoll_evidence_lock_trace::{Error, Options, Trace, merge, trace};
use plimsoll_evidence_migration_lint::{
    Class, File, Options as Judge, Released, Report, Severity, Traced, lint,
};
use plimsoll_model::{Diagnose, Secret};
use plimsoll_testkit::postgres::{self, Postgres, Settings};

const BASE: &str = "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int);\n\
                    CREATE TABLE teams (id bigint PRIMARY KEY);\n\
                    CREATE INDEX users_age ON users (age);\n";

fn files(change: &str) -> Vec<File> {
    let file = |path: &str, sql: &str| File { path: path.into(), bytes: sql.into() };
    vec![file("20260101000000_base.sql", BASE), file("20260102000000_change.sql", change)]
}

fn judge() -> Judge {
    Judge { released: Released::Files(["20260101000000_base.sql".to_owned()].into()), ..Judge::default() }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

fn traced_with(server: &Postgres, change: &str, options: &Options) -> Result<Trace, Error> {
    run(trace(&Secret::new(server.url()), &files(change), &judge(), options))
}

fn traced(server: &Postgres, change: &str) -> Trace {
    traced_with(server, change, &Options::default()).expect("the server is there")
}

/// What the only statement did.
fn of_one(server: &Postgres, change: &str) -> Traced {
    let found = traced(server, change);
    assert_eq!((found.files.len(), found.files[0].ended.as_deref()), (1, None), "{change}");
    assert_eq!(found.files[0].statements.len(), 1, "{change}");
    found.files[0].statements[0].traced.clone()
}

/// `users ACCESS EXCLUSIVE`, …: locks on tables that were there, but for those that
/// readers take.
fn locks(traced: &Traced) -> Vec<String> {
    let used = traced.locks.iter().filter(|lock| lock.in_use && lock.mode != "ACCESS SHARE");
    let used = used.filter(|lock| matches!(lock.on.as_str(), "users" | "teams"));
    used.map(|lock| format!("{} {}", lock.on, lock.mode)).collect()
}

/// Databases that traces left.
fn left(server: &Postgres) -> String {
    server.psql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'plimsoll%' ORDER BY 1")
}

#[test]
fn locks_rewriting_and_scans_are_seen_on_tables_without_rows() {
    let Some(server) = postgres::shared() else { return };
    type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        ("ALTER TABLE users ADD COLUMN a int", &["users ACCESS EXCLUSIVE"], &[], &[]),
        (
            "ALTER TABLE users ADD COLUMN a uuid DEFAULT gen_random_uuid()",
            &["users ACCESS EXCLUSIVE"],
            &["users"],
            &["users"],
        ),
        (
            "ALTER TABLE users ALTER COLUMN age TYPE bigint",
            &["users ACCESS EXCLUSIVE"],
            &["users"],
            &["users"],
        ),
        ("ALTER TABLE users ALTER COLUMN email SET NOT NULL", &["users ACCESS EXCLUSIVE"], &[], &["users"]),
        ("ALTER TABLE users ADD CHECK (age > 0)", &["users ACCESS EXCLUSIVE"], &[], &["users"]),
        ("ALTER TABLE users ADD CHECK (age > 0) NOT VALID", &["users ACCESS EXCLUSIVE"], &[], &[]),
        ("CREATE INDEX e ON users (email)", &["users SHARE"], &[], &["users"]),
        ("UPDATE users SET age = 1", &["users ROW EXCLUSIVE"], &[], &["users"]),
        ("TRUNCATE users", &["users ACCESS EXCLUSIVE"], &[], &[]),
        ("CREATE TABLE fresh (id int PRIMARY KEY)", &[], &[], &[]),
    ];
    for (sql, expected, rewritten, scanned) in cases {
        let found = of_one(server, sql);
        assert_eq!(locks(&found), *expected, "{sql}");
        assert_eq!(
            (&found.rewritten[..], &found.scanned[..]),
            (&owned(rewritten)[..], &owned(scanned)[..]),
            "{sql}"
        );
        assert!(!found.sampled && found.failed.is_none(), "{sql}");
    }
    let foreign = of_one(server, "ALTER TABLE users ADD FOREIGN KEY (age) REFERENCES teams (id)");
    let foreign = locks(&foreign);
    for lock in ["teams SHARE ROW EXCLUSIVE", "users SHARE ROW EXCLUSIVE"] {
        assert!(foreign.iter().any(|found| found == lock), "{foreign:?}");
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn what_cannot_be_in_a_transaction_is_watched_from_outside() {
    let Some(server) = postgres::shared() else { return };
    for (sql, lock, builds) in [
        ("CREATE INDEX CONCURRENTLY e ON users (email)", "users SHARE UPDATE EXCLUSIVE", true),
        ("DROP INDEX CONCURRENTLY users_age", "users SHARE UPDATE EXCLUSIVE", false),
        ("REINDEX INDEX CONCURRENTLY users_age", "users SHARE UPDATE EXCLUSIVE", true),
        ("VACUUM FULL users", "users ACCESS EXCLUSIVE", false),
    ] {
        let found = of_one(server, &format!("-- no-transaction\n{sql};"));
        assert!(found.sampled && found.failed.is_none(), "{sql}: {found:?}");
        assert!(locks(&found).iter().any(|seen| seen == lock), "{sql}: {found:?}");
        assert_eq!(!found.indexes.is_empty(), builds, "{sql}: {found:?}");
    }
}

#[test]
fn locks_of_a_transaction_add_up_and_say_which_statement_took_them() {
    let Some(server) = postgres::shared() else { return };
    let found = traced(server, "ALTER TABLE users ADD COLUMN a int;\nALTER TABLE users ADD COLUMN b int;");
    let statements = &found.files[0].statements;
    let earlier: Vec<bool> = statements.iter().map(|it| it.traced.locks[0].earlier).collect();
    assert_eq!(earlier, [false, true]);
    assert_eq!(statements[1].line, 2);
}

fn merged(server: &Postgres, change: &str) -> Report {
    let report = lint(&files(change), &judge()).expect("it is a text");
    merge(report, &traced(server, change))
}

#[test]
fn what_was_seen_wins_over_what_was_judged_and_both_are_shown() {
    let Some(server) = postgres::shared() else { return };
    // A name put together when it runs: no rule knows it.
    let hidden = merged(
        server,
        "DO $$ BEGIN EXECUTE format('ALTER TABLE %I ALTER age TYPE bigint', 'users'); END $$;",
    );
    let codes: Vec<&str> = hidden.files[0].findings.iter().map(|finding| finding.rule.as_str()).collect();
    assert_eq!(codes, ["MIG-095", "MIG-002"], "{hidden:?}");
    assert_eq!((hidden.files[0].class, hidden.count(Severity::Error)), (Class::Unsafe, 1));
    let shown = hidden.files[0].statements[0].trace.as_ref().expect("it was traced");
    assert_eq!(shown.rewritten, ["users"]);

    // The zone is UTC, so that no row changes; the lint does not know the zone.
    let zone = "ALTER TABLE users ADD COLUMN seen timestamp;";
    let base = [File { path: "20260101000000_base.sql".into(), bytes: format!("{BASE}{zone}").into() }];
    let change = "SET timezone = 'UTC';\nALTER TABLE users ALTER COLUMN seen TYPE timestamptz;";
    let all = [base[0].clone(), files(change)[1].clone()];
    let report = lint(&all, &judge()).expect("it is a text");
    assert_eq!(report.files[0].findings[0].rule, "MIG-013");
    let seen = run(trace(&Secret::new(server.url()), &all, &judge(), &Options::default())).expect("it runs");
    let report = merge(report, &seen);
    let file = &report.files[0];
    assert!(file.findings.is_empty() && file.class == Class::Expand, "{file:?}");
    assert_eq!(file.withdrawn[0].finding.rule, "MIG-013");
    assert!(file.withdrawn[0].reason.contains("no table in use was written"));
    let json = serde_json::to_string(&report).expect("it is plain data");
    assert_eq!(serde_json::from_str::<Report>(&json).expect("the same"), report);

    // What holds stays.
    let stays = merged(
        server,
        "ALTER TABLE users ALTER COLUMN email SET NOT NULL;\nCREATE INDEX e ON users (email);",
    );
    let codes: Vec<&str> = stays.files[0].findings.iter().map(|finding| finding.rule.as_str()).collect();
    assert_eq!(codes, ["MIG-012", "MIG-030"]);
    assert!(stays.files[0].withdrawn.is_empty());
}

#[test]
fn hostile_migrations_are_bounded_and_touch_no_other_database() {
    let Some(server) = &postgres::server(&Settings::default()) else { return };
    server.psql("postgres", "CREATE DATABASE precious");
    let quick = Options { statement: Duration::from_millis(300), ..Options::default() };
    let loops = [
        "DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$;",
        "SET statement_timeout = 0; DO $$ BEGIN LOOP PERFORM pg_sleep(0.01); END LOOP; END $$;",
    ];
    for sql in loops {
        let start = Instant::now();
        let found = traced_with(server, sql, &quick).expect("the trace says so");
        let ended = found.files[0].ended.clone().expect("it does not run to its end");
        assert!(ended.contains("57014"), "{ended}");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
    let ended = |sql: &str| traced(server, sql).files[0].ended.clone();
    assert!(ended("\\connect precious\nDROP TABLE users;").expect("no SQL").contains("is not run"));
    assert!(ended("ROLLBACK;").is_some());
    assert!(ended("SELECT 1/0;").expect("it fails").contains("22012"));
    assert_eq!(ended("CREATE TABLE a (id int); COMMIT; BEGIN; CREATE TABLE b (id int);"), None);
    let dropped =
        traced(server, "-- no-transaction\nDROP DATABASE precious;\nALTER TABLE users ADD COLUMN a int;");
    let statements = &dropped.files[0].statements;
    assert!(statements[0].traced.not_run.as_deref().is_some_and(|why| why.contains("DROP DATABASE")));
    assert_eq!(locks(&statements[1].traced), ["users ACCESS EXCLUSIVE"]);
    // Another role, no search path, and a block that commits.
    let role = traced(server, "SET ROLE pg_monitor;\nSET search_path = '';\nSELECT 1;");
    assert_eq!(role.files[0].ended, None);
    let commits = "-- no-transaction\nDO $$ BEGIN ALTER TABLE users ADD COLUMN a int; COMMIT; END $$;";
    let commits = of_one(server, commits);
    assert!(commits.sampled && commits.failed.is_none(), "{commits:?}");
    assert_eq!(server.psql("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'precious'"), "1");
    assert_eq!(left(server), "");
}

#[test]
fn a_user_who_may_not_create_databases_is_told_what_to_type() {
    let Some(server) = postgres::shared() else { return };
    server.psql("postgres", "CREATE ROLE plain LOGIN");
    let url = server.url().replace("postgres@", "plain@");
    let error =
        run(trace(&Secret::new(url), &files("SELECT 1;"), &judge(), &Options::default())).unwrap_err();
    assert_eq!(error.code(), "MIG-921");
    assert!(error.hint().expect("there is one").contains("ALTER ROLE \"plain\" CREATEDB"));
}

#[test]
fn a_released_migration_that_fails_and_bad_rows_are_named_and_leave_nothing() {
    let Some(server) = &postgres::server(&Settings::default()) else { return };
    let mut broken = files("SELECT 1;");
    broken[0].bytes = b"CREATE TABLE a (id int);\nSELECT nothing();".to_vec();
    let error = run(trace(&Secret::new(server.url()), &broken, &judge(), &Options::default())).unwrap_err();
    assert_eq!((error.code(), error.found().expect("what").starts_with("line 2")), ("MIG-923", true));
    let rows = Options { rows: Some("INSERT INTO nowhere VALUES (1)".into()), ..Options::default() };
    assert_eq!(traced_with(server, "SELECT 1;", &rows).unwrap_err().code(), "MIG-924");
    let rows = Options {
        rows: Some("INSERT INTO users SELECT n, 'a', n FROM generate_series(1, 1000) n".into()),
        ..Options::default()
    };
    let found =
        traced_with(server, "ALTER TABLE users ALTER COLUMN age TYPE bigint;", &rows).expect("it runs");
    assert!(found.on.rows && found.files[0].statements[0].traced.duration_us > 0);
    assert_eq!(left(server), "");
}

/// As after `kill -9`, and beside a trace that still runs.
#[test]
fn what_a_killed_trace_left_goes_with_the_next_and_nothing_else_does() {
    let Some(server) = &postgres::server(&Settings::default()) else { return };
    let databases =
        ["plimsoll_trace_1_00aa", "plimsoll_trace_2_00bb", "plimsoll_trace_3_00cc", "plimsoll_notes"];
    for name in databases {
        server.psql("postgres", &format!("CREATE DATABASE {name}"));
        let comment = "scratch database of plimsoll migrate lint --trace";
        // The third has the name alone: somebody else's.
        if name != "plimsoll_trace_3_00cc" {
            server.psql("postgres", &format!("COMMENT ON DATABASE {name} IS '{comment}'"));
        }
    }
    run(async {
        let at_work = plimsoll_database::Options {
            application_name: databases[1].into(),
            ..plimsoll_database::Options::default()
        };
        let address = plimsoll_database::Address::parse(&Secret::new(server.url())).expect("an address");
        let _open = plimsoll_database::connect_to(&address, &at_work).await.expect("a session");
        let files = files("SELECT 1;");
        trace(&Secret::new(server.url()), &files, &judge(), &Options::default()).await.expect("it runs");
    });
    assert_eq!(left(server), "plimsoll_notes\nplimsoll_trace_2_00bb\nplimsoll_trace_3_00cc");
}
