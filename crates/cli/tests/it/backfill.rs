//! `migrate backfill` as its users meet it (MIG-3).

use std::process::{Command, Stdio};

use plimsoll_testkit::git::Repo;
use plimsoll_testkit::postgres::{Postgres, shared};

use crate::world::{PLIMSOLL, Run};

struct Project {
    repo: Repo,
    url: String,
}

const NAMES: &str = "ALTER TABLE users ADD COLUMN name text;\n\
                     -- plimsoll: backfill table=users key=id batch=100 name=names\n\
                     UPDATE users SET name = email WHERE name IS NULL;\n";

impl Project {
    fn new(url: &str) -> Self {
        let repo = Repo::init();
        repo.write(
            "plimsoll.toml",
            "[service]\nname = \"payouts\"\n[repository]\ncanonical = \"127.0.0.1:1/acme/payouts\"\n\
             staging = \"127.0.0.1:1/acme/payouts-staging\"\n[image]\nbase = \"scratch\"\nentrypoint = [\"/payouts\"]\ncopy = [{ from = \"payouts\", to = \"/payouts\" }]\n[migrations]\n\
             database = \"env:DATABASE_URL\"\n",
        );
        repo.write("migrations/1_users.sql", "CREATE TABLE users (id bigint PRIMARY KEY, email text);\n");
        repo.write("migrations/2_names.sql", NAMES);
        Self { repo, url: url.into() }
    }

    fn migrate(&self, arguments: &[&str]) -> Run {
        let began = std::time::Instant::now();
        let output = Command::new(PLIMSOLL)
            .arg("-C")
            .arg(self.repo.path())
            .arg("migrate")
            .args(arguments)
            .env("DATABASE_URL", &self.url)
            .env("PLIMSOLL_ACTOR", "alice")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        Run { status: output.status, stdout, stderr, took: began.elapsed() }
    }
}

/// With a thousand users, and the column there.
fn on_postgres() -> Option<(Project, &'static Postgres)> {
    let server = shared()?;
    let project = Project::new(&server.new_database());
    project.migrate(&["apply"]).exits(0);
    server.psql(&project.url, "INSERT INTO users SELECT g, 'e' || g FROM generate_series(1, 1000) g");
    Some((project, server))
}

#[test]
fn a_backfill_that_apply_leaves_is_run_and_its_proof_opens_the_contract_step() {
    let Some((project, server)) = on_postgres() else { return };
    let before = project.migrate(&["backfill", "--status"]).exits(0);
    assert!(
        before.stdout.starts_with("names: not started\n  declared at 2_names.sql:3:1, table users by id\n"),
        "{}",
        before.stdout
    );
    let report = project.migrate(&["backfill", "--output", "json"]).exits(0).json();
    assert_eq!(report["schema"], "plimsoll/backfill/v1");
    let names = &report["backfills"][0];
    assert_eq!((names["standing"].as_str(), names["rows_changed"].as_u64()), (Some("finished"), Some(1000)));
    assert_eq!(names["proof"]["means"], "no_row_left");
    assert!(names["runner"].as_str().unwrap().starts_with("alice on "), "{names}");
    assert_eq!(server.psql(&project.url, "SELECT count(*) FROM users WHERE name = email"), "1000");
    project.migrate(&["backfill", "names"]).exits(0).says(&["finished already"]);
    project.migrate(&["backfill", "--check"]).exits(0);
    server.psql(&project.url, "INSERT INTO users VALUES (5000, 'late')");
    project.migrate(&["backfill", "--check"]).exits(3).says(&["BKF-013"]);
    project.migrate(&["backfill"]).exits(0);
    assert_eq!(server.psql(&project.url, "SELECT count(*) FROM users WHERE name = email"), "1001");
}

#[test]
fn pause_and_resume_are_told_from_elsewhere() {
    let Some((project, server)) = on_postgres() else { return };
    // Begun by somebody, and interrupted.
    server.psql(&project.url, "ALTER TABLE users ADD CHECK (id < 500 OR name IS NULL)");
    project.migrate(&["backfill"]).exits(1).says(&["BKF-020", "at id 500"]);
    project.migrate(&["backfill", "--status"]).exits(0).says(&["names: failed", "about 50 %"]);
    project.migrate(&["backfill", "names", "--pause"]).exits(0).says(&["names: paused"]);
    project.migrate(&["backfill"]).exits(3).says(&["BKF-011", "--resume"]);
    server.psql(&project.url, "ALTER TABLE users DROP CONSTRAINT users_check");
    project.migrate(&["backfill", "--resume"]).exits(0).says(&["names: interrupted"]);
    project.migrate(&["backfill", "--most-rows", "50", "--limit", "lock-waits=off"]).exits(0);
    assert_eq!(server.psql(&project.url, "SELECT count(*) FROM users WHERE name = email"), "1000");
}

#[test]
fn what_cannot_be_run_is_refused_with_its_place() {
    let Some((project, _)) = on_postgres() else { return };
    project.migrate(&["backfill", "nams"]).exits(2).says(&["BKF-002", "names"]);
    project.migrate(&["backfill", "nams", "--pause"]).exits(2).says(&["BKF-002"]);
    project.migrate(&["backfill", "--limit", "lag=3"]).exits(2);
    let limited = NAMES.replace("IS NULL;", "IS NULL\n  RETURNING id;");
    project.repo.write("migrations/2_names.sql", &limited);
    project.migrate(&["backfill"]).exits(3).says(&["BKF-001", "2_names.sql:4:3", "RETURNING"]);
    project.repo.write("migrations/2_names.sql", NAMES.replace("key=id", "key=email"));
    project.migrate(&["backfill"]).exits(3).says(&["BKF-003", "`email` may be NULL", "key=id"]);
}

#[test]
fn sqlite_and_toml_do_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let project = Project::new(&format!("sqlite://{}", path.display()));
    project.repo.write("migrations/2_names.sql", "ALTER TABLE users ADD COLUMN name text;\n");
    project.repo.write(
        "migrations/2_names.backfill.toml",
        "[[backfill]]\nname = \"names\"\ntable = \"users\"\nkey = \"id\"\nbatch = 10\nsql = '''\n\
         UPDATE users SET name = email\nWHERE name IS NULL AND id > :from AND id <= :to'''\n",
    );
    project.repo.write(
        "migrations/1_users.sql",
        "CREATE TABLE users (id integer PRIMARY KEY, email text);\n\
         INSERT INTO users VALUES (1, 'a'), (2, 'b'), (30, 'c');\n",
    );
    project.migrate(&["apply"]).exits(0);
    let events = project.migrate(&["backfill", "--events"]).exits(0);
    let last: serde_json::Value = serde_json::from_str(events.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["backfills"][0]["rows_changed"], 3);
    assert_eq!(last["database"], "sqlite");
    project.migrate(&["backfill", "--status"]).exits(0).says(&["names: finished"]);
}
