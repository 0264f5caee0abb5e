//! `migrate plan`, `apply`, `status` and `adopt` as their users meet them (MIG-2).

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use plimsoll_testkit::git::Repo;
use plimsoll_testkit::postgres::{Postgres, shared};

use crate::world::{PLIMSOLL, Run};

/// A project with a database of its own.
struct Project {
    repo: Repo,
    url: String,
}

const USERS: &str = "CREATE TABLE users (id bigint PRIMARY KEY, email text);\n";

impl Project {
    fn new(url: &str) -> Self {
        let repo = Repo::init();
        repo.write(
            "plimsoll.toml",
            "[service]\nname = \"payouts\"\n[repository]\ncanonical = \"127.0.0.1:1/acme/payouts\"\n\
             staging = \"127.0.0.1:1/acme/payouts-staging\"\n[image]\nbase = \"scratch\"\n\
             entrypoint = [\"/payouts\"]\n[[image.copy]]\nfrom = \"payouts\"\nto = \"/payouts\"\n[migrations]\n\
             database = \"env:DATABASE_URL\"\n",
        );
        repo.write("migrations/1_users.sql", USERS);
        Self { repo, url: url.into() }
    }

    fn on_postgres() -> Option<(Self, &'static Postgres)> {
        let server = shared()?;
        Some((Self::new(&server.new_database()), server))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PLIMSOLL);
        command.arg("-C").arg(self.repo.path()).arg("migrate").args(arguments);
        command.env("DATABASE_URL", &self.url).env("PLIMSOLL_ACTOR", "alice").stdin(Stdio::null());
        command
    }

    fn migrate(&self, arguments: &[&str]) -> Run {
        let began = std::time::Instant::now();
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        Run { status: output.status, stdout, stderr, took: began.elapsed() }
    }
}

#[test]
fn a_plan_is_what_apply_does_and_status_shows_it() {
    let Some((project, server)) = Project::on_postgres() else { return };
    let plan = project.migrate(&["plan", "--output", "json"]).exits(0).json();
    assert_eq!(
        (plan["schema"].as_str(), plan["allowed"].as_bool()),
        (Some("plimsoll/migrate-plan/v1"), Some(true))
    );
    assert_eq!(plan["files"][0]["state"], "pending");
    assert_eq!(plan["files"][0]["path"], "1_users.sql");
    let text = project.migrate(&["plan"]).exits(0);
    let expected = "pending      1_users.sql  expand  0 of 1 statements done, in one transaction\n";
    assert!(text.stdout.starts_with(expected), "{}", text.stdout);
    assert!(!text.stdout.contains("postgres@"), "{}", text.stdout);

    let sha = project.repo.commit("feat: users");
    let report = project.migrate(&["apply", "--release", "HEAD", "--output", "json"]).exits(0).json();
    assert_eq!(report["schema"], "plimsoll/migrate-apply/v1");
    assert_eq!(report["applied"][0]["path"], "1_users.sql");
    let row = "SELECT release_sha, applied_by, class FROM plimsoll_migrations";
    assert_eq!(server.psql(&project.url, row), format!("{sha}|alice|expand"));
    let again = project.migrate(&["apply"]).exits(0);
    assert!(again.stdout.ends_with("up to date, 1 migrations\n"), "{}", again.stdout);
    let status = project.migrate(&["status", "--output", "json"]).exits(0).json();
    assert_eq!(status["schema"], "plimsoll/migrate-status/v1");
    assert_eq!(status["files"][0]["state"], "applied");
    project.migrate(&["status"]).exits(0).says(&["applied      1_users.sql  expand", "by alice"]);
}

#[test]
fn each_way_to_be_refused_has_its_exit_code_and_its_next_step() {
    let Some((project, _)) = Project::on_postgres() else { return };
    project.migrate(&["apply"]).exits(0);
    // Contract waits, and says so.
    project.repo.write("migrations/2_drop.sql", "ALTER TABLE users DROP COLUMN email;\n");
    project.migrate(&["apply"]).exits(0).says(&["waiting", "2_drop.sql", "--allow 2_drop.sql"]);
    // Unsafe is refused.
    project.repo.write("migrations/3_index.sql", "CREATE INDEX by_id ON users (id);\n");
    project.repo.write("migrations/2_drop.sql", "SELECT 1;\n");
    project.migrate(&["plan"]).exits(3).says(&["refused", "MIG-", "would refuse"]);
    project.migrate(&["apply"]).exits(3).says(&["MGR-001", "nothing was changed", "--allow 3_index.sql"]);
    // By its path in the working copy, too.
    project.migrate(&["apply", "--allow", "migrations/3_index.sql"]).exits(0);
    // A statement that fails.
    project.repo.write("migrations/4_bad.sql", "SELECT 1;\nCREATE TABLE users (id int);\n");
    let run = project.migrate(&["apply", "--output", "json"]).exits(1);
    assert_eq!(run.json()["code"], "MGR-008", "{}", run.stdout);
    run.says(&["4_bad.sql:2:1 (statement 2 of 2)", "already exists"]);
    project.repo.write("migrations/4_bad.sql", "SELECT 1;\n");
    // One that was edited.
    project.repo.write("migrations/1_users.sql", USERS.replace("bigint", "int"));
    project.migrate(&["plan"]).exits(4).says(&["edited", "recorded sha256:", "git log -p"]);
    project.migrate(&["apply"]).exits(4).says(&["MGR-002"]);
    project.repo.write("migrations/1_users.sql", USERS.replace('\n', "\r\n"));
    project.migrate(&["apply"]).exits(0);
    // A database that is not there.
    let elsewhere = Project { url: project.url.replace("/test_", "/no_"), ..project };
    elsewhere.migrate(&["plan"]).exits(5).says(&["DBS-005", "does not exist"]);
    let nowhere = Project { url: "postgres://app:hunter2@127.0.0.1:1/x".into(), ..elsewhere };
    let run = nowhere.migrate(&["apply"]).exits(5).says(&["DBS-002"]);
    assert!(!format!("{run:?}").contains("hunter2"), "{run:?}");
    let wrong = Project { url: "postgres://app:hun?ter2@h/x".into(), ..nowhere };
    let run = wrong.migrate(&["apply"]).exits(2).says(&["DBS-001"]);
    assert!(!format!("{run:?}").contains("ter2"), "{run:?}");
}

#[test]
fn ctrl_c_leaves_nothing_half_done() {
    let Some((project, server)) = Project::on_postgres() else { return };
    project.repo.write("migrations/2_slow.sql", "CREATE TABLE a (n int);\nSELECT pg_sleep(60);\n");
    let mut running =
        project.command(&["apply"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines().map_while(Result::ok);
    let asleep = lines.find(|line| line.contains("2_slow.sql:2 statement 2 of 2"));
    assert!(asleep.is_some(), "it does not get there");
    kill(Pid::from_raw(running.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let rest: Vec<String> = lines.collect();
    assert_eq!(running.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("was interrupted")), "{rest:?}");
    project.repo.write("migrations/2_slow.sql", "CREATE TABLE a (n int);\n");
    project.migrate(&["apply"]).exits(0).says(&["applied  2_slow.sql"]);
    assert_eq!(server.psql(&project.url, "SELECT count(*) FROM plimsoll_migrations"), "2");
}

#[test]
fn another_tools_table_is_adopted() {
    let Some((project, server)) = Project::on_postgres() else { return };
    server.psql(&project.url, USERS);
    server.psql(
        &project.url,
        "CREATE TABLE __diesel_schema_migrations (version text, run_on timestamp); \
         INSERT INTO __diesel_schema_migrations VALUES ('1')",
    );
    project.migrate(&["plan"]).exits(3).says(&["migrated by diesel", "migrate adopt"]);
    project.migrate(&["apply"]).exits(3).says(&["MGR-003"]);
    project.migrate(&["adopt"]).exits(0).says(&["adopted  1_users.sql"]);
    project.migrate(&["apply"]).exits(0).says(&["up to date"]);
}

#[test]
fn sqlite_is_migrated_beside_the_project() {
    let project = Project::new("sqlite://app.db");
    project.migrate(&["plan"]).exits(0);
    assert!(!project.repo.path().join("app.db").exists());
    project.migrate(&["apply"]).exits(0).says(&["applied  1_users.sql"]);
    assert!(project.repo.path().join("app.db").exists());
    project.migrate(&["status"]).exits(0).says(&["applied      1_users.sql"]);
}
