//! The plain way on PostgreSQL.

use plimsoll_model::{Class, Diagnose as _, Silent};
use plimsoll_rollout_migrate::{Changed, Error, State};
use plimsoll_testkit::postgres::shared;

use crate::common::{Heard, apply, options, plan, postgres};

const FIRST: (&str, &str) =
    ("1_users.sql", "CREATE TABLE users (id bigint PRIMARY KEY, email text);\nCREATE TABLE more (n int);");

#[tokio::test]
async fn each_file_runs_once_and_is_recorded() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let target = postgres(&url);
    let mut with = options();
    with.plan.release = Some("3f2a".repeat(10));
    // Looking makes nothing.
    let before = plan(&target, &[FIRST], &with).await;
    assert!(!before.has_table && before.allowed);
    assert_eq!(server.psql(&url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");

    let report = apply(&target, &[FIRST], &with, &Silent).await.unwrap();
    assert_eq!(report.applied.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["1_users.sql"]);
    let again = apply(&target, &[FIRST], &with, &Silent).await.unwrap();
    assert!(again.applied.is_empty());
    assert_eq!(again.already, 1);
    let columns = "path, version, class, release_sha, origin, applied_by, statements, done, in_doubt, backfills, format";
    let row =
        server.psql(&url, &format!("SELECT {columns}, finished_at >= started_at FROM plimsoll_migrations"));
    let sha = "3f2a".repeat(10);
    assert_eq!(row, format!("1_users.sql|1|expand|{sha}|plimsoll|test|2|2||[]|1|t"));
    // No lock is left.
    let held = "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database \
                WHERE locktype = 'advisory' AND datname = current_database()";
    assert_eq!(server.psql(&url, held), "0");
}

#[tokio::test]
async fn a_file_that_fails_leaves_nothing_and_says_where() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let target = postgres(&url);
    let files = [FIRST, ("2_bad.sql", "CREATE TABLE a (n int);\n  ALTER TABLE nowhere ADD COLUMN n int;")];
    let error = apply(&target, &files, &options(), &Silent).await.unwrap_err();
    let Error::Statement { place, message, state, changed, .. } = &error else { panic!("{error:?}") };
    assert_eq!(place.to_string(), "2_bad.sql:2:3 (statement 2 of 2)");
    assert!(message.contains("nowhere") && state.ends_with("42P01"), "{message} {state}");
    assert_eq!(**changed, Changed::Files(vec!["1_users.sql".into()]));
    assert_eq!(error.class(), Class::Failed);
    assert_eq!(
        server.psql(&url, "SELECT to_regclass('a') IS NULL, count(*) FROM plimsoll_migrations"),
        "t|1"
    );
    // Corrected, it goes on.
    let files = [FIRST, ("2_bad.sql", "CREATE TABLE a (n int);")];
    assert_eq!(apply(&target, &files, &options(), &Silent).await.unwrap().applied.len(), 1);
}

#[tokio::test]
async fn an_edited_file_is_an_integrity_violation_and_line_ends_are_none() {
    let Some(server) = shared() else { return };
    let target = postgres(&server.new_database());
    apply(&target, &[FIRST], &options(), &Silent).await.unwrap();
    let dos = FIRST.1.replace('\n', "\r\n") + "\r\n\r\n";
    assert!(apply(&target, &[(FIRST.0, &dos)], &options(), &Silent).await.unwrap().applied.is_empty());
    let edited = FIRST.1.replace("bigint", "int");
    let error =
        apply(&target, &[(FIRST.0, &edited), ("2_a.sql", "CREATE TABLE a (n int);")], &options(), &Silent)
            .await
            .unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Integrity, "MGR-002"));
    assert!(error.expected().unwrap().starts_with("sha256:") && error.hint().unwrap().contains("git log"));
}

#[tokio::test]
async fn contract_steps_wait_and_so_does_what_touches_the_same() {
    let Some(server) = shared() else { return };
    let target = postgres(&server.new_database());
    apply(&target, &[FIRST], &options(), &Silent).await.unwrap();
    let files = [
        FIRST,
        ("2_drop.sql", "ALTER TABLE users DROP COLUMN email;"),
        ("3_same.sql", "ALTER TABLE users ADD COLUMN mail text;"),
        ("4_other.sql", "ALTER TABLE more ADD COLUMN m int;"),
        ("5_refers.sql", "CREATE TABLE orders (id bigint PRIMARY KEY, of bigint REFERENCES users (id));"),
    ];
    let mut with = options();
    with.plan.held.insert("2_drop.sql".into(), "release 3f2a needs users.email".into());
    let report = apply(&target, &files, &with, &Silent).await.unwrap();
    let paths = |files: Vec<&str>| files.join(" ");
    assert_eq!(paths(report.applied.iter().map(|it| it.path.as_str()).collect()), "4_other.sql 5_refers.sql");
    let waiting: Vec<_> = report.waiting.iter().map(|it| it.reason.clone().unwrap()).collect();
    assert_eq!(
        waiting,
        ["release 3f2a needs users.email", "it touches `users`, and so does `2_drop.sql`, which waits"]
    );
    // Then no release needs it any more.
    with.plan.held.clear();
    with.plan.allow.insert("2_drop.sql".into());
    let report = apply(&target, &files, &with, &Silent).await.unwrap();
    assert_eq!(paths(report.applied.iter().map(|it| it.path.as_str()).collect()), "2_drop.sql 3_same.sql");
}

#[tokio::test]
async fn what_is_unsafe_is_refused_before_anything_runs() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let target = postgres(&url);
    apply(&target, &[FIRST], &options(), &Silent).await.unwrap();
    let files =
        [FIRST, ("2_a.sql", "CREATE TABLE a (n int);"), ("3_i.sql", "CREATE INDEX i ON users (email);")];
    let error = apply(&target, &files, &options(), &Silent).await.unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Refused, "MGR-001"));
    assert!(error.hint().unwrap().contains("--allow 3_i.sql"), "{:?}", error.hint());
    assert_eq!(server.psql(&url, "SELECT to_regclass('a') IS NULL"), "t");
    let mut with = options();
    with.plan.allow.insert("3_i.sql".into());
    assert_eq!(apply(&target, &files, &with, &Silent).await.unwrap().applied.len(), 2);
}

#[tokio::test]
async fn backfills_are_left_out_and_what_needs_their_end_waits() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let target = postgres(&url);
    apply(&target, &[FIRST], &options(), &Silent).await.unwrap();
    server.psql(&url, "INSERT INTO users VALUES (1, 'a'), (2, 'b')");
    let files = [
        FIRST,
        (
            "2_mail.sql",
            "ALTER TABLE users ADD COLUMN mail text;\n-- plimsoll: backfill table=users key=id batch=1000\n\
             UPDATE users SET mail = email WHERE mail IS NULL;",
        ),
        ("3_drop.sql", "ALTER TABLE users DROP COLUMN email;"),
    ];
    let report = apply(&target, &files, &options(), &Silent).await.unwrap();
    assert_eq!(report.applied[0].backfills, ["users"]);
    assert_eq!(server.psql(&url, "SELECT count(mail) FROM users"), "0");
    assert_eq!(
        server.psql(&url, "SELECT backfills FROM plimsoll_migrations WHERE version = '2'"),
        "[\"users\"]"
    );
    assert!(report.waiting[0].reason.as_ref().unwrap().contains("backfill `users`"));
    let mut with = options();
    with.plan.finished_backfills.insert("users".into());
    let waits = plan(&target, &files, &with).await;
    assert_eq!(waits.files[2].state, State::Refused, "the lint was not told that it is finished");
}

#[tokio::test]
async fn settings_and_roles_of_a_file_end_with_it() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    server.psql(&url, "DO $$ BEGIN CREATE ROLE limited; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
    server.psql(&url, "GRANT CREATE ON SCHEMA public TO limited");
    let files = [
        (
            "1_dump.sql",
            "SELECT pg_catalog.set_config('search_path', '', false);\nCREATE TABLE public.a (n int);",
        ),
        ("2_role.sql", "SET ROLE limited;\nCREATE TABLE b (n int);"),
        ("3_c.sql", "CREATE TABLE c (n int);"),
    ];
    apply(&postgres(&url), &files, &options(), &Silent).await.unwrap();
    let owners = "SELECT string_agg(tablename || ' ' || tableowner, ', ' ORDER BY tablename) FROM pg_tables \
                  WHERE tablename IN ('a', 'b', 'c')";
    assert_eq!(server.psql(&url, owners), "a postgres, b limited, c postgres");
}

#[tokio::test]
async fn a_file_outside_of_transactions_goes_on_where_it_failed() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let target = postgres(&url);
    let bad = "-- no-transaction\nSET app.prefix = 'x';\nCREATE TABLE a (n int);\nCREATE TABLE b (n nonsense);\nCREATE TABLE c (n int);";
    let error = apply(&target, &[("1_a.sql", bad)], &options(), &Silent).await.unwrap_err();
    let Error::Statement { changed, place, .. } = &error else { panic!("{error:?}") };
    assert_eq!(place.number, 3);
    let part = Changed::Part { files: Vec::new(), path: "1_a.sql".into(), done: 2, of: 4 };
    assert_eq!(**changed, part);
    let state = plan(&target, &[("1_a.sql", bad)], &options()).await;
    assert_eq!((state.files[0].state, state.files[0].done), (State::Interrupted, 2));
    assert!(state.files[0].failure.as_ref().unwrap().contains("nonsense"));
    // What is done must stay.
    let edited = bad.replace("TABLE a", "TABLE aa");
    let error = apply(&target, &[("1_a.sql", &edited)], &options(), &Silent).await.unwrap_err();
    assert_eq!(error.code(), "MGR-002");
    // What failed may change. The setting of the first statement is there again.
    let better = bad.replace("b (n nonsense)", "b AS SELECT current_setting('app.prefix') AS n");
    let heard = Heard::default();
    apply(&target, &[("1_a.sql", &better)], &options(), &heard).await.unwrap();
    assert!(!heard.has(&["statement 2 of 4"]), "{:?}", heard.notes());
    assert_eq!(server.psql(&url, "SELECT n FROM b"), "x");
    assert_eq!(
        server.psql(&url, "SELECT done, finished_at IS NOT NULL, failure FROM plimsoll_migrations"),
        "4|t|"
    );
}

#[tokio::test]
async fn repeatable_files_run_again_when_they_change_and_placeholders_are_filled() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let target = postgres(&url);
    let files =
        |view: &'static str| [("V1.0__t.sql", "CREATE TABLE ${prefix}t (n int);"), ("R__v.sql", view)];
    let first = files("CREATE OR REPLACE VIEW v AS SELECT 1 AS n;");
    let error = apply(&target, &first, &options(), &Silent).await.unwrap_err();
    assert!(error.to_string().contains("${prefix}"), "{error}");
    let mut with = options();
    with.plan.placeholders.insert("prefix".into(), "my_".into());
    apply(&target, &first, &with, &Silent).await.unwrap();
    let report = apply(&target, &first, &with, &Silent).await.unwrap();
    assert!(report.applied.is_empty());
    let second = files("CREATE OR REPLACE VIEW v AS SELECT 2 AS n;");
    with.plan.allow.insert("R__v.sql".into());
    let report = apply(&target, &second, &with, &Silent).await.unwrap();
    assert_eq!(report.applied.len(), 1);
    assert_eq!(server.psql(&url, "SELECT n FROM v"), "2");
    assert_eq!(server.psql(&url, "SELECT count(*) FROM my_t"), "0");
}

#[tokio::test]
async fn missing_renamed_and_out_of_order_files_are_told_apart() {
    let Some(server) = shared() else { return };
    let target = postgres(&server.new_database());
    let all = [FIRST, ("3_c.sql", "CREATE TABLE c (n int);"), ("4_d.sql", "CREATE TABLE d (n int);")];
    apply(&target, &all, &options(), &Silent).await.unwrap();
    // An older release knows fewer.
    let older = plan(&target, &all[..2], &options()).await;
    assert!(older.allowed);
    assert!(older.files[0].reason.as_ref().unwrap().contains("newer release"), "{:?}", older.files[0]);
    // One in the middle is gone.
    let gap = [all[0], all[2]];
    let mut with = options();
    assert!(plan(&target, &gap, &with).await.allowed);
    with.plan.strict_missing = true;
    assert!(!plan(&target, &gap, &with).await.allowed);
    // A new one in the middle.
    let late = [all[0], ("2_b.sql", "CREATE TABLE b (n int);"), all[1], all[2]];
    let found = plan(&target, &late, &options()).await;
    assert!(found.files[1].out_of_order && found.allowed);
    with.plan.in_order = true;
    assert_eq!(plan(&target, &late, &with).await.files[1].state, State::Refused);
    assert_eq!(apply(&target, &late, &options(), &Silent).await.unwrap().applied.len(), 1);
    // Another name for the same version.
    let renamed = [all[0], all[1], ("4_other.sql", all[2].1)];
    let error = apply(&target, &renamed, &options(), &Silent).await.unwrap_err();
    assert!(error.to_string().contains("was it renamed?"), "{error}");
}

#[tokio::test]
async fn futures_can_be_sent_and_tables_of_newer_formats_are_left_alone() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let target = postgres(&url);
    sent(apply(&target, &[FIRST], &options(), &Silent)).await.unwrap();
    server.psql(&url, "UPDATE plimsoll_migrations SET format = 99");
    let error = apply(&target, &[FIRST], &options(), &Silent).await.unwrap_err();
    assert_eq!(error.code(), "MGR-010");
}

/// Hundreds of small files are a matter of seconds, not of round trips.
#[tokio::test]
async fn many_files_run_quickly() {
    let Some(server) = shared() else { return };
    let many: Vec<(String, String)> =
        (1..=300).map(|at| (format!("{at:03}_t.sql"), format!("CREATE TABLE t{at} (n int);"))).collect();
    let files: Vec<(&str, &str)> = many.iter().map(|(path, sql)| (path.as_str(), sql.as_str())).collect();
    let began = std::time::Instant::now();
    let report = apply(&postgres(&server.new_database()), &files, &options(), &Silent).await.unwrap();
    assert_eq!(report.applied.len(), 300);
    assert!(began.elapsed() < std::time::Duration::from_secs(30), "{:?}", began.elapsed());
}
