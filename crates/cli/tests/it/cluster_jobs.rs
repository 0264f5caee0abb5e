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
