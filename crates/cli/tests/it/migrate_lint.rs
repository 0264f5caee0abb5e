//! `migrate lint`: what is judged, from where, in which form (MIG-1).

use plimsoll_testkit::git::Repo;

use crate::world::{PLIMSOLL, Run, World};

/// A folder of migrations in a repository without plimsoll.toml.
fn folder() -> Repo {
    let repo = Repo::init();
    repo.write(
        "migrations/0001_init.sql",
        "CREATE TABLE users (id bigint PRIMARY KEY, email text, fax text);\n",
    );
    repo.commit("first");
    repo.write("migrations/0002_index.sql", "CREATE INDEX users_email ON users (email);\n");
    repo.write("migrations/0003_note.sql", "ALTER TABLE users ADD COLUMN note text;\n");
    repo
}

fn lint(repo: &Repo, arguments: &[&str]) -> Run {
    let world = World::bare();
    let mut command = world.command(["migrate", "lint"].into_iter().chain(arguments.iter().copied()));
    command.current_dir(repo.path());
    assert_eq!(command.get_program(), PLIMSOLL);
    world.start(command).wait()
}

#[test]
fn a_folder_is_judged_without_a_project() {
    let repo = folder();
    let report = lint(&repo, &["--output", "json"]).exits(3).json();
    assert_eq!(report["schema"], "plimsoll/migrate-lint/v1");
    let files: Vec<_> = report["files"].as_array().unwrap().iter().map(|file| &file["class"]).collect();
    assert_eq!(files, ["expand", "unsafe", "expand"]);
    let finding = &report["files"][1]["findings"][0];
    assert_eq!(
        (&finding["rule"], &finding["severity"], &finding["line"]),
        (&"MIG-030".into(), &"error".into(), &1.into())
    );
    assert!(finding["hint"].as_str().unwrap().contains("CREATE INDEX CONCURRENTLY"), "{finding:#}");
    lint(&repo, &[]).exits(3).says(&[
        "migrations/0002_index.sql",
        "takes SHARE on users",
        "1 error, 0 warnings",
    ]);
}

#[test]
fn only_what_is_new_is_judged() {
    let repo = folder();
    let report = lint(&repo, &["--since", "HEAD", "--output", "json"]).exits(3).json();
    assert_eq!(report["files"].as_array().unwrap().len(), 2);
    // One file: those beside it have run.
    lint(&repo, &["migrations/0003_note.sql"]).exits(0).says(&["1 migration (sqlx): 0 errors, 0 warnings"]);
    // A release that makes the table may build its index at once.
    std::fs::remove_file(repo.path().join("migrations/0001_init.sql")).unwrap();
    repo.write(
        "migrations/0002_index.sql",
        "CREATE TABLE tags (id bigint, name text); CREATE INDEX tags_name ON tags (name);\n",
    );
    lint(&repo, &["migrations/0002_index.sql"]).exits(0);
    lint(&folder(), &["--small", "users"]).exits(0);
}

#[test]
fn findings_are_shown_where_reviewers_look() {
    let repo = folder();
    let annotations = lint(&repo, &["--form", "github"]).exits(3);
    assert!(
        annotations.stdout.starts_with("::error file=migrations/0002_index.sql,line=1,col=1,title=MIG-030 ")
    );
    lint(&repo, &["--form", "markdown"])
        .exits(3)
        .says(&["| migrations/0002_index.sql:1 | error | `MIG-030`"]);
}

#[test]
fn what_cannot_be_read_is_said() {
    let repo = folder();
    lint(&repo, &["nowhere"]).exits(2).says(&["MIG-911", "nowhere", "nothing was touched"]);
    lint(&repo, &["--layout", "liquibase"]).exits(2).says(&["golang-migrate"]);
    repo.write("other/1.sql", "SELECT 1;");
    lint(&repo, &["migrations", "other"]).exits(2).says(&["MIG-912"]);
    // A statement that is none has line and column, and is no pass.
    repo.write("migrations/0004_typo.sql", "ALTER TABLE users\n  ADD COLUM age int;\n");
    let report = lint(&repo, &["migrations/0004_typo.sql", "--output", "json"]).exits(3).json();
    let finding = &report["files"][0]["findings"][0];
    assert_eq!((&finding["rule"], &finding["line"]), (&"MIG-001".into(), &2.into()), "{finding:#}");
    // The right grammar for the database.
    repo.write("migrations/0004_typo.sql", "INSERT OR IGNORE INTO users (id) VALUES (1);\n");
    lint(&repo, &["migrations/0004_typo.sql"]).exits(3);
    lint(&repo, &["migrations/0004_typo.sql", "--dialect", "sqlite"]).exits(0);
}

/// The locks that are really taken, on a database of the lint's own.
#[test]
fn a_trace_has_the_last_word() {
    let Some(server) = plimsoll_testkit::postgres::shared() else { return };
    let repo = folder();
    let world = World::bare();
    let url = server.new_database();
    let traced = |arguments: &[&str]| {
        let fixed = ["migrate", "lint", "--since", "HEAD", "--trace", "env:SCRATCH"];
        let mut command = world.command(fixed.into_iter().chain(arguments.iter().copied()));
        command.current_dir(repo.path()).env("SCRATCH", &url);
        world.start(command).wait()
    };
    let report = traced(&["--output", "json"]).exits(3).json();
    let statement = &report["files"][0]["statements"][0];
    let locks = statement["trace"]["locks"].to_string();
    assert!(locks.contains("SHARE") && locks.contains("users"), "{report:#}");
    traced(&[]).exits(3).says(&["0002_index.sql"]);
    // Nothing of it is left.
    let left =
        server.psql("postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE 'plimsoll_trace%'");
    assert_eq!(left.trim(), "0");
    let mut command = world.command(["migrate", "lint", "--trace", "postgres://127.0.0.1:1/none"]);
    command.current_dir(repo.path());
    world.start(command).wait().exits(5);
}
