//! Migrations as a part of deployments: what runs, what waits for whom, and to
//! which releases one can still go back (MIG-2, MIG-4, RBK-2).

use std::path::PathBuf;
use std::time::Duration;

use plimsoll_ledger::{Holder, KeySource, Ledger};
use plimsoll_model::Commit;
use plimsoll_testkit::postgres;
use serde_json::Value;

use crate::evidence::{check, signing_world};
use crate::world::World;

const INIT: &str = "CREATE TABLE users (id integer PRIMARY KEY, email text, fax text);\n";
const NAME: &str = "ALTER TABLE users ADD COLUMN name text;\n";
const DROP: &str = "ALTER TABLE users DROP COLUMN fax;\n";

/// A project with migrations and this database.
struct Project {
    world: World,
    database: String,
}

impl Project {
    fn new(database: &str) -> Self {
        let project = Self { world: World::new(), database: database.into() };
        project.declare(&[]);
        project
    }

    fn sqlite() -> Self {
        Self::new("sqlite://app.db")
    }

    /// Writes the configuration, with what the code does not use any more.
    fn declare(&self, unused: &[&str]) {
        let section = format!("\n[migrations]\ndatabase = \"{}\"\nunused = {unused:?}\n", self.database);
        self.world.repo.write("plimsoll.toml", self.world.configuration() + &section);
        self.world.repo.write(".gitignore", "replicas.env\napp.db*\n");
    }

    fn migration(&self, name: &str, sql: &str) {
        self.world.repo.write(&format!("migrations/{name}"), sql);
    }

    fn built(&mut self, name: &str) -> Commit {
        self.world.built(name, "well")
    }

    fn deploy(&self, sha: &Commit) -> Value {
        self.world.json(["deploy", sha.as_str(), "--env", "trial"])
    }

    fn columns(&self) -> Vec<String> {
        let path: PathBuf = self.world.path().join("app.db");
        let database = rusqlite::Connection::open(path).unwrap();
        let mut rows = database.prepare("SELECT name FROM pragma_table_info('users')").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }
}

/// Add, stop using, drop: the drop waits until nobody is left who needs the
/// column, and a rollback past it is refused.
#[test]
fn a_drop_waits_for_the_window_and_closes_the_way_back() {
    let mut project = Project::sqlite();
    project.migration("0001_init.sql", INIT);
    let first = project.built("first");
    let planned = project.world.json(["deploy", first.as_str(), "--env", "trial", "--dry-run"]);
    assert!(
        check(&planned, "MIG-202")["found"].as_str().unwrap().contains("1 migration to run"),
        "{planned:#}"
    );
    assert!(!project.world.path().join("app.db").exists(), "a plan makes nothing");
    assert_eq!(project.deploy(&first)["outcome"], "succeeded");
    assert_eq!(project.columns(), ["id", "email", "fax"]);

    project.migration("0002_name.sql", NAME);
    project.declare(&["users.fax"]);
    let second = project.built("second");
    let deployed = project.deploy(&second);
    assert_eq!(check(&deployed, "MIG-201")["found"], "0002_name.sql (expand)", "{deployed:#}");
    assert_eq!(check(&deployed, "MIG-204")["outcome"], "pass");

    // `first` may be gone back to, and reads the column.
    project.migration("0003_fax.sql", DROP);
    let third = project.built("third");
    // By hand it waits for the same, when it is said for whose releases.
    let by_hand = ["migrate", "apply", "--env", "trial"];
    project.world.plimsoll(by_hand).exits(0).says(&["0003_fax.sql", first.short()]);
    assert_eq!(project.columns(), ["id", "email", "fax", "name"]);
    let deployed = project.deploy(&third);
    assert_eq!(deployed["outcome"], "succeeded");
    let waits = check(&deployed, "MIG-205");
    let reason = format!(
        "0003_fax.sql: {} needs `users.fax`; no file of its code names `fax`; if it is not used, say so in `[migrations] unused`",
        first.short()
    );
    assert_eq!((&waits["outcome"], &waits["found"]), (&"warn".into(), &reason.into()));
    assert_eq!(project.columns(), ["id", "email", "fax", "name"]);
    let status = project.world.json(["status", "--env", "trial"])["environments"][0].clone();
    assert_eq!(status["schema"]["waiting"][0]["path"], "0003_fax.sql", "{status:#}");
    assert!(status["ways_back"].as_array().unwrap().iter().all(|way| way["possible"] == true), "{status:#}");

    // Nobody in the window needs it any more: the step runs, and says what it closes.
    let planned = project.world.json(["migrate", "plan", "--env", "trial"]);
    let drop = planned["files"].as_array().unwrap().iter().find(|file| file["path"] == "0003_fax.sql");
    assert_eq!(drop.unwrap()["state"], "pending", "{planned:#}");
    let planned = project.world.json(["migrate", "plan"]);
    let drop = planned["files"].as_array().unwrap().iter().find(|file| file["path"] == "0003_fax.sql");
    assert_eq!(drop.unwrap()["state"], "waiting", "{planned:#}");
    let fourth = project.built("fourth");
    let planned = project.world.json(["deploy", fourth.as_str(), "--env", "trial", "--dry-run"]);
    let closes = check(&planned, "MIG-204");
    assert_eq!(closes["outcome"], "warn", "{planned:#}");
    assert!(closes["found"].as_str().unwrap().contains(first.short()), "{closes:#}");
    assert_eq!(project.deploy(&fourth)["outcome"], "succeeded");
    assert_eq!(project.columns(), ["id", "email", "name"]);

    let refused = ["rollback", "--to", first.as_str(), "--env", "trial"];
    project.world.plimsoll(refused).exits(3).says(&["MIG-203", "users.fax", "nothing was touched"]);
    let status = project.world.json(["status", "--env", "trial"])["environments"][0].clone();
    let way = |sha: &Commit| {
        let ways = status["ways_back"].as_array().unwrap();
        ways.iter().find(|way| way["image_sha"] == sha.as_str()).unwrap()["possible"].clone()
    };
    assert_eq!((way(&first), way(&second), way(&third)), (false.into(), true.into(), true.into()));
    project.world.plimsoll(["status"]).exits(0).says(&["NOT back to", "the schema lacks `users.fax`"]);
    project.world.plimsoll(["rollback", "--to", second.as_str(), "--env", "trial"]).exits(0);
    // From the ledger alone, as if the database were gone.
    let down = ["--set", "environments.trial.database=postgres://127.0.0.1:1/none"];
    project
        .world
        .plimsoll(["rollback", "--to", third.as_str(), "--env", "trial"].into_iter().chain(down))
        .exits(0);
    project.world.plimsoll(refused.into_iter().chain(down)).exits(3).says(&["MIG-203"]);
}

/// RBK-2: a contract step that a person runs closes the way back as one of a
/// deployment does, also when the database cannot be asked any more.
#[test]
fn what_is_run_by_hand_is_in_the_ledger_too() {
    let mut project = Project::sqlite();
    project.migration("0001_init.sql", INIT);
    let first = project.built("first");
    project.deploy(&first);
    project.migration("0002_name.sql", NAME);
    project.declare(&["users.fax"]);
    let second = project.built("second");
    project.deploy(&second);

    project.migration("0003_fax.sql", DROP);
    let by_hand = ["migrate", "apply", "--env", "trial", "--allow", "0003_fax.sql"];
    let applied = project.world.json(by_hand);
    let entry = applied["ledger_entry"].as_u64();
    assert!(entry.is_some(), "{applied:#}");
    assert_eq!(project.columns(), ["id", "email", "name"]);
    let again = project.world.json(by_hand);
    assert!(again.get("ledger_entry").is_none(), "nothing is new: {again:#}");

    let status = project.world.json(["status", "--env", "trial"])["environments"][0].clone();
    assert_eq!(status["schema"]["state"], "as recorded", "{status:#}");
    assert_eq!(status["schema"]["ledger_entry"].as_u64(), entry);
    let back = ["rollback", "--to", first.as_str(), "--env", "trial"];
    project.world.plimsoll(back).exits(3).says(&["MIG-203", "users.fax", "nothing was touched"]);
    std::fs::rename(project.world.path().join("app.db"), project.world.path().join("away.db")).unwrap();
    project.world.plimsoll(back).exits(3).says(&["MIG-203", "users.fax"]);
}

/// DEP-2: nobody runs migrations by hand while somebody else is at work there.
#[test]
fn migrations_by_hand_take_the_environments_lock() {
    let mut project = Project::sqlite();
    project.migration("0001_init.sql", INIT);
    let first = project.built("first");
    project.deploy(&first);
    project.migration("0002_name.sql", NAME);
    let url = format!("sqlite://{}", project.world.path().join(".plimsoll/ledger.db").display());
    let ledger = Ledger::open(&url, KeySource::Beside).unwrap();
    let holder =
        Holder { who: "ada".into(), host: "elsewhere".into(), pid: 1, command: "plimsoll deploy".into() };
    let lease = Duration::from_secs(600);
    ledger.acquire("trial", &holder, lease, jiff::Timestamp::now()).unwrap();
    let by_hand = ["migrate", "apply", "--env", "trial", "--wait", "0s"];
    project.world.plimsoll(by_hand).exits(3).says(&["DEP-113", "ada", "nothing was touched"]);
    assert_eq!(project.columns(), ["id", "email", "fax"]);
}

#[test]
fn what_must_not_run_is_refused_before_anything_is_touched() {
    let mut project = Project::sqlite();
    project.migration("0001_init.sql", INIT);
    let first = project.built("first");
    project.deploy(&first);
    // Released code would not find its column.
    project.migration("0002_rename.sql", "ALTER TABLE users RENAME COLUMN email TO mail;\n");
    let second = project.built("second");
    let deploy = ["deploy", second.as_str(), "--env", "trial"];
    project.world.plimsoll(deploy).exits(3).says(&["MIG-201", "0002_rename.sql", "nothing was touched"]);
    assert_eq!(project.columns(), ["id", "email", "fax"]);
    // Edited after it ran.
    project.migration("0002_rename.sql", NAME);
    project.migration("0001_init.sql", &INIT.replace("email", "address"));
    let third = project.built("third");
    let edited = project.world.plimsoll(["deploy", third.as_str(), "--env", "trial"]).exits(4);
    edited.says(&["MIG-202", "0001_init.sql"]);
    // Other line ends are no edit.
    project.migration("0001_init.sql", &INIT.replace('\n', "\r\n"));
    let fourth = project.built("fourth");
    assert_eq!(project.deploy(&fourth)["outcome"], "succeeded");
    // Nobody answers.
    let fifth = project.built("fifth");
    let down = ["--set", "environments.trial.database=postgres://127.0.0.1:1/none"];
    let deploy = ["deploy", fifth.as_str(), "--env", "trial"].into_iter().chain(down);
    project.world.plimsoll(deploy).exits(5).says(&["MIG-202"]);
}

/// A migration that fails fails the deployment; what ran before serves on.
#[test]
fn a_migration_that_fails_leaves_what_runs_alone() {
    let mut project = Project::sqlite();
    project.migration("0001_init.sql", INIT);
    let first = project.built("first");
    project.deploy(&first);
    // New tables are nobody's; what fails is the data.
    project.migration(
        "0002_marks.sql",
        "CREATE TABLE marks (id integer PRIMARY KEY);\nINSERT INTO marks VALUES (1), (1);\n",
    );
    let second = project.built("second");
    let failed =
        project.world.plimsoll(["deploy", second.as_str(), "--env", "trial", "--output", "json"]).exits(1);
    let report = failed.json();
    assert_eq!(report["outcome"], "failed");
    assert!(report["reason"].as_str().unwrap().contains("0002_marks.sql"), "{report:#}");
    project.world.runs_exactly(1);
    project.migration("0002_marks.sql", "CREATE TABLE marks (id integer PRIMARY KEY);\n");
    let third = project.built("third");
    assert_eq!(project.deploy(&third)["outcome"], "succeeded");
}

/// What runs is what was built and judged (MIG-206).
#[test]
fn the_migrations_are_attested() {
    let mut world = signing_world("\n[migrations]\ndatabase = \"sqlite://app.db\"\n");
    world.repo.write("migrations/0001_init.sql", INIT);
    let sha = world.built("first", "well");
    let report = world.json(["verify", sha.as_str()]);
    let roles: Vec<_> = report["evidence"].as_array().unwrap().iter().map(|one| &one["role"]).collect();
    assert!(roles.contains(&&Value::from("migrations")), "{report:#}");
    let deployed = world.json(["deploy", sha.as_str(), "--env", "trial"]);
    assert_eq!(check(&deployed, "MIG-206")["outcome"], "pass", "{deployed:#}");
}

#[test]
fn on_postgresql_too() {
    let Some(server) = postgres::shared() else { return };
    let url = server.new_database();
    let mut project = Project::new("env:DATABASE_URL");
    project.migration("0001_init.sql", &INIT.replace("integer", "bigint"));
    project.migration(
        "0002_email.sql",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY users_email ON users (email);\n",
    );
    let first = project.built("first");
    let deploy = |sha: &Commit| {
        let mut command =
            project.world.command(["deploy", sha.as_str(), "--env", "trial", "--output", "json"]);
        command.env("DATABASE_URL", &url);
        project.world.start(command).wait()
    };
    let deployed = deploy(&first).exits(0).json();
    assert_eq!(deployed["outcome"], "succeeded", "{deployed:#}");
    let found = check(&deployed, "MIG-202");
    assert!(!found.to_string().contains("password"), "{found:#}");
    // Without the variable nothing is known, which is no verdict.
    project.world.plimsoll(["deploy", first.as_str(), "--env", "trial"]).exits(5).says(&["DATABASE_URL"]);
}
