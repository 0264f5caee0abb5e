//! Migrations that a Job of the cluster runs, through the binary: within the
//! rollout, before the first pod of the release, written down, found again.

use nix::sys::signal::Signal;
use plimsoll_model::Commit;
use plimsoll_testkit_cluster::{Behaviour, Cluster};
use serde_json::Value;

use crate::evidence::check;
use crate::kubernetes::{cluster, runs};
use crate::world::{World, until};

const INIT: &str = "CREATE TABLE users (id integer PRIMARY KEY, email text, fax text);\n";
const DROP: &str = "ALTER TABLE users DROP COLUMN fax;\n";

/// A cluster whose environment has a Job with these further keys.
fn with_job(world: &World, keys: &str, sections: &str) -> Cluster {
    let cluster = cluster(world);
    let text = std::fs::read_to_string(world.path().join("plimsoll.toml")).unwrap();
    let job = "\n[environments.cluster.kubernetes.migrate]\nargs = [\"migrate\"]\n";
    world.repo.write("plimsoll.toml", format!("{text}{job}{keys}{sections}"));
    cluster
}

fn migrates(world: &World, cluster: &Cluster, sha: &Commit, behaviour: Behaviour) {
    cluster.image_given(&format!("{}:{}", world.repository(), sha.as_str()), "migrate", behaviour);
}

/// Every event of the ledger of this type, oldest first.
fn recorded(world: &World, kind: &str) -> Vec<Value> {
    let exported = world.plimsoll(["ledger", "export"]).exits(0).stdout;
    let entries = exported.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    entries.filter(|entry| entry["kind"] == kind).map(|entry| entry["body"]["body"].clone()).collect()
}

fn environment_of(job: &Value) -> Vec<(String, String)> {
    let env = job["spec"]["template"]["spec"]["containers"][0]["env"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    env.iter().map(|entry| (text(&entry["name"]), text(&entry["value"]))).collect()
}

#[test]
fn a_job_runs_the_migrations_before_the_release_starts_and_is_recorded() {
    let mut world = World::new();
    let cluster = with_job(&world, "", "");
    let first = world.built("first", "well");
    migrates(&world, &cluster, &first, Behaviour::completes_after(500).with_log(&["applying 0001"]));
    let report = world.json(["deploy", first.as_str(), "--env", "cluster"]);
    assert_eq!(report["outcome"], "succeeded", "{report:#}");
    let jobs = cluster.list("jobs", "shop");
    assert_eq!(jobs.len(), 1);
    assert!(environment_of(&jobs[0]).contains(&("PLIMSOLL_SHA".into(), first.to_string())));
    let events = recorded(&world, "migrations.job");
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(events[0]["succeeded"], true);
    assert_eq!(events[0]["command"][0], "migrate");
    assert_eq!(events[0]["last_lines"][0], "applying 0001");

    // One that fails ends it at once, with what it said; nothing was started.
    let second = world.built("second", "well");
    let fails = Behaviour::exits_after(300, 4).with_log(&["relation \"payouts\" does not exist"]);
    migrates(&world, &cluster, &second, fails);
    let failed = world.plimsoll(["deploy", second.as_str(), "--env", "cluster"]).exits(1);
    let failed = failed.says(&[
        "DEP-108",
        "status 4",
        "relation \"payouts\" does not exist",
        "kubectl --context test -n shop logs job/",
    ]);
    assert!(runs(&cluster, &first) && failed.took.as_secs() < 20, "{failed:?}");
    assert_eq!(recorded(&world, "migrations.job")[1]["succeeded"], false);

    // A rollback runs none.
    world.plimsoll(["rollback", "--to", first.as_str(), "--env", "cluster"]).exits(0);
    assert_eq!(recorded(&world, "migrations.job").len(), 2);
}

#[test]
fn a_killed_command_leaves_its_job_and_the_next_one_finds_it() {
    let mut world = World::new();
    let cluster = with_job(&world, "", "");
    let [first, second, third] = ["first", "second", "third"].map(|name| world.built(name, "well"));
    // Five minutes of the cluster's time: longer than the next command needs to get there.
    migrates(&world, &cluster, &first, Behaviour::completes_after(300_000));
    let running = world.start(world.command(["deploy", first.as_str(), "--env", "cluster"]));
    until("the job is there", || !cluster.list("jobs", "shop").is_empty());
    running.signal(Signal::SIGKILL);
    drop(running.wait());
    // Another release: the first is undone, and its Job comes to its end first.
    migrates(&world, &cluster, &second, Behaviour::completes_after(500));
    let deployed = world.plimsoll(["deploy", second.as_str(), "--env", "cluster"]).exits(0);
    deployed.says(&["waiting for job echo-migrate-"]);
    assert!(runs(&cluster, &second));
    let ended = |job: &Value| job["status"]["completionTime"].as_str().unwrap_or_default().to_owned();
    let jobs = cluster.list("jobs", "shop");
    let begun = |job: &Value| job["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned();
    let (one, other) = match begun(&jobs[0]) <= begun(&jobs[1]) {
        true => (&jobs[0], &jobs[1]),
        false => (&jobs[1], &jobs[0]),
    };
    assert!(ended(one) <= begun(other), "one after the other: {jobs:#?}");

    // The same release again: its Job is found, not made anew.
    migrates(&world, &cluster, &third, Behaviour::completes_after(300_000));
    let running = world.start(world.command(["deploy", third.as_str(), "--env", "cluster"]));
    until("the job is there", || cluster.list("jobs", "shop").len() == 3);
    running.signal(Signal::SIGKILL);
    drop(running.wait());
    let again = world.plimsoll(["deploy", third.as_str(), "--env", "cluster"]).exits(0);
    assert_eq!(cluster.list("jobs", "shop").len(), 3, "{}", again.stderr);
    assert!(runs(&cluster, &third));
}

/// A Job runs what the image has. A step that has to wait refuses the release,
/// unless the command says that it obeys the list.
#[test]
fn a_step_that_has_to_wait_is_refused_or_left_out_of_the_list() {
    let mut world = World::new();
    let migrations = "\n[migrations]\nrollback_window = 1\n";
    let cluster = with_job(&world, "", migrations);
    world.repo.write("migrations/0001_init.sql", INIT);
    let first = world.built("first", "well");
    migrates(&world, &cluster, &first, Behaviour::completes_after(300));
    let report = world.json(["deploy", first.as_str(), "--env", "cluster"]);
    assert_eq!(report["outcome"], "succeeded", "{report:#}");
    assert_eq!(recorded(&world, "migrations.applied")[0]["applied"][0]["path"], "0001_init.sql");

    world.repo.write("migrations/0002_fax.sql", DROP);
    let text = std::fs::read_to_string(world.path().join("plimsoll.toml")).unwrap();
    let unused = text.replace("rollback_window = 1", "rollback_window = 1\nunused = [\"users.fax\"]");
    world.repo.write("plimsoll.toml", &unused);
    let second = world.built("second", "well");
    migrates(&world, &cluster, &second, Behaviour::completes_after(300));
    let refused = world.json(["deploy", second.as_str(), "--env", "cluster"]);
    assert_eq!(refused["outcome"], "refused", "{refused:#}");
    let found = check(&refused, "MIG-202")["found"].as_str().unwrap().to_owned();
    assert!(found.contains("0002_fax.sql has to wait") && found.contains("only_listed = true"), "{found}");
    assert_eq!(cluster.list("jobs", "shop").len(), 1, "nothing was touched");

    world.repo.write(
        "plimsoll.toml",
        unused.replace("args = [\"migrate\"]", "args = [\"migrate\"]\nonly_listed = true"),
    );
    let report = world.json(["deploy", second.as_str(), "--env", "cluster"]);
    assert_eq!(report["outcome"], "succeeded", "{report:#}");
    let jobs = cluster.list("jobs", "shop");
    let env: Vec<_> = jobs.iter().flat_map(environment_of).collect();
    assert!(env.contains(&("PLIMSOLL_MIGRATIONS_WAITING".into(), "0002_fax.sql".into())), "{env:?}");
    let waiting = recorded(&world, "migrations.applied")[1]["waiting"].clone();
    assert_eq!(waiting[0]["path"], "0002_fax.sql", "{waiting:#}");
}

/// What ran is not edited: the ledger has the checksums of what the Jobs were told.
#[test]
fn a_file_that_was_edited_after_its_job_ran_is_refused() {
    let mut world = World::new();
    let cluster = with_job(&world, "", "\n[migrations]\n");
    world.repo.write("migrations/0001_init.sql", INIT);
    let first = world.built("first", "well");
    migrates(&world, &cluster, &first, Behaviour::completes_after(300));
    world.plimsoll(["deploy", first.as_str(), "--env", "cluster"]).exits(0);
    // Line ends are no edit.
    world.repo.write("migrations/0001_init.sql", INIT.replace('\n', "\r\n"));
    let second = world.built("second", "well");
    migrates(&world, &cluster, &second, Behaviour::completes_after(300));
    world.plimsoll(["deploy", second.as_str(), "--env", "cluster"]).exits(0);

    world.repo.write("migrations/0001_init.sql", INIT.replace("email", "mail"));
    let third = world.built("third", "well");
    let jobs = cluster.list("jobs", "shop").len();
    let refused = world.plimsoll(["deploy", third.as_str(), "--env", "cluster"]).exits(4);
    refused.says(&[
        "MIG-202",
        "edited after they ran: 0001_init.sql",
        "plimsoll migrate status --env cluster",
    ]);
    assert_eq!(cluster.list("jobs", "shop").len(), jobs, "nothing was touched");
    let shown = world.plimsoll(["migrate", "status", "--env", "cluster"]).exits(0).stdout;
    assert!(shown.contains("edited       0001_init.sql") && shown.contains("recorded sha256:"), "{shown}");
    world.plimsoll(["migrate", "plan", "--env", "cluster"]).exits(4);
}

/// A release with fewer files undoes none of them.
#[test]
fn what_ran_stays_recorded_when_a_release_without_it_comes() {
    let mut world = World::new();
    let cluster = with_job(&world, "only_listed = true\n", "\n[migrations]\n");
    world.repo.write("migrations/0001_init.sql", INIT);
    world.repo.write("migrations/0002_name.sql", "ALTER TABLE users ADD COLUMN name text;\n");
    let both = world.built("both", "well");
    migrates(&world, &cluster, &both, Behaviour::completes_after(300));
    world.plimsoll(["deploy", both.as_str(), "--env", "cluster"]).exits(0);
    std::fs::remove_file(world.path().join("migrations/0002_name.sql")).unwrap();
    let fewer = world.built("fewer", "well");
    migrates(&world, &cluster, &fewer, Behaviour::completes_after(300));
    world.plimsoll(["deploy", fewer.as_str(), "--env", "cluster"]).exits(0);
    let recorded = recorded(&world, "migrations.applied");
    let paths = |event: &Value| {
        let applied = event["applied"].as_array().unwrap();
        applied.iter().map(|one| one["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paths(&recorded[1]), ["0001_init.sql", "0002_name.sql"]);
    let [before, now] = [&recorded[0], &recorded[1]].map(|event| event["applied"][1]["checksum"].clone());
    assert_eq!(before, now);
    let plan = world.json(["migrate", "plan", "--env", "cluster"]);
    assert_eq!(plan["files"][0]["state"], "missing", "{plan:#}");
}

/// What the Job would be told, and what nobody knows.
#[test]
fn the_plan_of_a_job_is_by_the_ledger() {
    let mut world = World::new();
    let cluster = with_job(&world, "only_listed = true\n", "\n[migrations]\nrollback_window = 1\n");
    world.repo.write("migrations/0001_init.sql", INIT);
    let plan = world.plimsoll(["migrate", "plan", "--env", "cluster"]).exits(0).stdout;
    assert!(plan.contains("pending      0001_init.sql  expand"), "{plan}");
    assert!(plan.contains("not known: what the database has: no deployment wrote down yet"), "{plan}");
    let first = world.built("first", "well");
    migrates(&world, &cluster, &first, Behaviour::completes_after(300));
    world.plimsoll(["deploy", first.as_str(), "--env", "cluster"]).exits(0);

    world.repo.write("migrations/0002_name.sql", "ALTER TABLE users ADD COLUMN name text;\n");
    world.repo.write("migrations/0003_fax.sql", DROP);
    let plan = world.json(["migrate", "plan", "--env", "cluster"]);
    let states: Vec<_> = plan["files"].as_array().unwrap().iter().map(|file| file["state"].clone()).collect();
    assert_eq!(states, ["applied", "pending", "waiting"], "{plan:#}");
    assert_eq!((&plan["schema"], &plan["allowed"]), (&"plimsoll/migrate-plan/v1".into(), &true.into()));
    assert!(plan["files"][0]["release"] == first.as_str() && plan["only_listed"] == true, "{plan:#}");
    assert_eq!(plan["last_job"]["succeeded"], true, "{plan:#}");
    assert!(plan["not_known"][0].as_str().unwrap().contains("what the database itself has"), "{plan:#}");
    // Without the promise the Job would run what has to wait.
    let text = std::fs::read_to_string(world.path().join("plimsoll.toml")).unwrap();
    world.repo.write("plimsoll.toml", text.replace("only_listed = true", "only_listed = false"));
    let refused = world.plimsoll(["migrate", "plan", "--env", "cluster"]).exits(3);
    refused.says(&["refused      0003_fax.sql", "only_listed = true", "`plimsoll deploy` would refuse"]);

    // A Job that failed says so.
    let second = world.built("second", "well");
    migrates(&world, &cluster, &second, Behaviour::exits_after(300, 4));
    let approved = ["--approve", "MIG-202=nobody reads fax", "--approve", "MIG-204=nobody goes back"];
    let failed = world.json(["deploy", second.as_str(), "--env", "cluster"].into_iter().chain(approved));
    assert_eq!(failed["outcome"], "failed", "{failed:#}");
    let found = check(&failed, "MIG-201")["found"].as_str().unwrap().to_owned();
    assert!(found.contains("0003_fax.sql (contract, although it has to wait)"), "{found}");
    let waits = check(&failed, "MIG-205")["hint"].as_str().unwrap().to_owned();
    assert!(waits.contains("the Job runs them with this deployment all the same"), "{waits}");
    let told: Vec<_> = cluster.list("jobs", "shop").iter().flat_map(environment_of).collect();
    let both = "0002_name.sql\n0003_fax.sql".to_owned();
    assert!(told.contains(&("PLIMSOLL_MIGRATIONS".into(), both)), "what is recorded is told: {told:?}");
    let status = world.plimsoll(["migrate", "status", "--env", "cluster"]).exits(0).stdout;
    assert!(status.contains("applied      0001_init.sql  -  2"), "{status}");
    assert!(status.contains("which did not do its work") && status.contains("status 4"), "{status}");

    // By hand nothing is run where the database is not.
    for arguments in [&["migrate", "apply"][..], &["migrate", "adopt"], &["migrate", "backfill"]] {
        let refused = world.plimsoll(arguments.iter().copied().chain(["--env", "cluster"])).exits(2);
        refused.says(&["MIG-927", "run by a Job of its cluster", "plimsoll deploy SHA --env cluster"]);
    }
}

/// Through the binary: what happened, what is not known, and what to type.
#[test]
fn a_job_that_is_deleted_by_hand_ends_the_deployment_and_says_what_is_not_known() {
    let mut world = World::new();
    let cluster = with_job(&world, "", "");
    let first = world.built("first", "well");
    let works = Behaviour::completes_after(3_000_000).with_log(&["applying 0001"]);
    migrates(&world, &cluster, &first, works);
    let running = world.start(world.command(["deploy", first.as_str(), "--env", "cluster"]));
    let runs_now = || {
        let pods = cluster.list("pods", "shop");
        pods.iter().any(|pod| {
            pod["metadata"]["labels"]["plimsoll.dev/job"].is_string() && pod["status"]["phase"] == "Running"
        })
    };
    until("the Job's pod runs", runs_now);
    let job = cluster.list("jobs", "shop")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    cluster.delete("jobs", "shop", &job).unwrap();
    let failed = running.wait().exits(1);
    failed.says(&["DEP-108", "somebody deleted it while it was waited for", "is not known"]);
    let events = recorded(&world, "migrations.job");
    assert_eq!(events[0]["succeeded"], false);
    assert!(events[0]["reason"].as_str().unwrap().contains("is not known"), "{events:#?}");
    assert!(!runs(&cluster, &first));
}
