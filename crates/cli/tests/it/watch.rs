//! DEP-6: a release that is worse than what serves is taken back by itself, with
//! the evidence, and is not tried again by itself.

use plimsoll_model::Commit;

use crate::evidence::check;
use crate::load::Load;
use crate::world::{PAUSE, World};

const WATCH: &str = r#"
[environments.blue.watch]
bake     = "80s"
interval = "1s"
persist  = "5s"

[[environments.blue.watch.metrics]]
name  = "failed answers"
query = 'plimsoll_switch_requests_total{outcome="failed"}'
of    = 'plimsoll_switch_requests_total'
"#;

#[test]
fn a_release_that_fails_its_users_is_taken_back() {
    let mut world = World::new();
    world.repo.write("plimsoll.toml", world.configuration() + WATCH);
    let first = world.built("first", "well");
    // A first release has nothing beside it to be compared with.
    let at_once = ["--set", "environments.blue.watch.bake=0s"];
    world.plimsoll(["deploy", first.as_str(), "--env", "blue"].into_iter().chain(at_once)).exits(0);
    let second = world.built("second", "fails");
    let load = Load::start(world.listen[1], "/version", 3, PAUSE);
    let deploy = ["deploy", second.as_str(), "--env", "blue"];
    let report = world.plimsoll(deploy.into_iter().chain(["--output", "json"])).exits(6).json();
    load.stop();
    assert_eq!(
        (&report["outcome"], &report["code"]),
        (&"rolled_back".into(), &"DEP-110".into()),
        "{report:#}"
    );
    assert!(report["reason"].as_str().unwrap().contains("failed answers: regressed"), "{report:#}");
    let status = world.json(["status", "--env", "blue"]);
    assert_eq!(status["environments"][0]["running"]["image_sha"], first.as_str());
    // Judged again over what was seen: the same.
    let replayed = world.json(["watch", "replay"]);
    assert_eq!(
        (&replayed["watches"][0]["same"], replayed["watches"].as_array().unwrap().len()),
        (&true.into(), 1)
    );
    // No loop.
    world.plimsoll(deploy).exits(3).says(&["DEP-201", "failed answers", "--retry"]);
    let retried = world.json(deploy.into_iter().chain(["--retry", "the network was down", "--dry-run"]));
    assert_eq!(check(&retried, "DEP-201")["outcome"], "warn", "{retried:#}");
}

#[test]
fn what_is_declared_is_read_before_anything_moves() {
    let mut world = World::new();
    let broken = WATCH.replace("{outcome=\"failed\"}", "{outcome=failed");
    world.repo.write("plimsoll.toml", world.configuration() + &broken);
    let first = world.built("first", "well");
    let deploy = ["deploy", first.as_str(), "--env", "blue"];
    world.plimsoll(deploy).exits(2).says(&["WCH-010", "failed answers"]);
    assert!(world.processes().all().next().is_none());
}

/// A world in which nobody asks for anything, so that nobody can tell.
fn unsure(policy: &str) -> (World, Commit, Commit) {
    let mut world = World::new();
    let watch = WATCH.replace("80s", "2s").replacen("\n\n[[", &format!("\n{policy}\n\n[["), 1);
    world.repo.write("plimsoll.toml", world.configuration() + &watch);
    let (first, second) = (world.built("first", "well"), world.built("second", "well"));
    let at_once = ["--set", "environments.blue.watch.bake=0s"];
    world.plimsoll(["deploy", first.as_str(), "--env", "blue"].into_iter().chain(at_once)).exits(0);
    (world, first, second)
}

fn serves(world: &World) -> String {
    let status = world.json(["status", "--env", "blue"]);
    status["environments"][0]["running"]["image_sha"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn too_little_data_is_waited_for_and_then_promoted_and_said() {
    let (world, _, second) = unsure("wait = \"2s\"");
    let deploy = ["deploy", second.as_str(), "--env", "blue", "--output", "json"];
    let report = world.plimsoll(deploy).exits(0).json();
    let watch = &report["watch"];
    assert_eq!(
        (&watch["verdict"], &watch["decision"], &watch["proven"]),
        (&"insufficient_data".into(), &"promote".into(), &false.into()),
        "{report:#}"
    );
    assert!(watch["watched_sec"].as_u64() >= Some(4), "{watch:#}");
    let metric = &watch["metrics"][0];
    assert_eq!(
        (&metric["name"], &metric["new"]["events"]),
        (&"failed answers".into(), &0.0.into()),
        "{metric:#}"
    );
    assert!(metric["sentence"].as_str().unwrap().contains("had no traffic"), "{metric:#}");
    let metrics = world.plimsoll(["metrics"]).exits(0).stdout;
    let counted = "plimsoll_watch_verdicts_total{environment=\"blue\",verdict=\"insufficient_data\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn a_release_that_is_held_waits_for_a_person() {
    let (world, first, second) = unsure("on_insufficient_data = \"hold\"");
    let deploy = ["deploy", second.as_str(), "--env", "blue"];
    world
        .plimsoll(deploy.into_iter().chain(["--promote", "early"]))
        .exits(2)
        .says(&["PIP-020", "nothing was touched"]);
    let held = world.plimsoll(deploy).exits(7);
    held.says(&["DEP-118", "failed answers: insufficient data", "hold for a person", "--promote REASON"]);
    // Both serve, the ledger says so, and the lock is free.
    let status = &world.json(["status", "--env", "blue"])["environments"][0];
    assert_eq!(
        (&status["held"], &status["lock"]),
        (&second.as_str().into(), &serde_json::Value::Null),
        "{status:#}"
    );
    assert_eq!(status["running"]["image_sha"], first.as_str());
    world
        .plimsoll(["status", "--env", "blue"])
        .exits(0)
        .says(&["held for a person to decide", "--promote REASON"]);
    // The same command compares once more; with nothing more to see it is held again.
    world.plimsoll(deploy).exits(7).says(&["was held; comparing once more"]);
    let promote = ["--promote", "I looked at its logs", "--output", "json"];
    let report = world.plimsoll(deploy.into_iter().chain(promote)).exits(0).json();
    assert_eq!(report["outcome"], "succeeded", "{report:#}");
    assert!(report["reason"].as_str().unwrap().contains("I looked at its logs"), "{report:#}");
    assert_eq!(serves(&world), second.as_str());
    let replayed = world.json(["watch", "replay"]);
    let decided: Vec<_> = replayed["watches"].as_array().unwrap().iter().map(|w| &w["same"]).collect();
    assert_eq!(decided, [true, true], "{replayed:#}");
}

#[test]
fn a_release_that_is_held_is_taken_back_by_a_rollback() {
    let (world, first, second) = unsure("on_insufficient_data = \"hold\"");
    world.plimsoll(["deploy", second.as_str(), "--env", "blue"]).exits(7);
    let back = world.plimsoll(["rollback", "--to", first.as_str(), "--env", "blue"]).exits(0);
    back.says(&["was held; undoing it first"]);
    let status = &world.json(["status", "--env", "blue"])["environments"][0];
    assert_eq!(
        (&status["unfinished"], &status["drift"]["state"]),
        (&serde_json::Value::Null, &"none".into()),
        "{status:#}"
    );
}

#[test]
fn where_proof_is_asked_for_too_little_data_goes_back() {
    let (world, first, second) = unsure("on_insufficient_data = \"go-back\"");
    let deploy = ["deploy", second.as_str(), "--env", "blue"];
    let report = world.plimsoll(deploy.into_iter().chain(["--output", "json"])).exits(1).json();
    assert_eq!((&report["outcome"], &report["code"]), (&"failed".into(), &"DEP-117".into()), "{report:#}");
    assert_eq!(serves(&world), first.as_str());
    // It was not seen to be worse, so that nobody has to answer for the next try.
    let again = world.json(deploy.into_iter().chain(["--dry-run"]));
    assert!(again["decision"]["allowed"].as_bool().unwrap(), "{again:#}");
}

/// The part of the requests that is asked for is the one that the new release
/// gets, under load, and nobody is turned away.
#[test]
fn a_canary_gets_its_share_of_the_requests_and_no_more() {
    let mut world = World::new();
    let watch = WATCH.replace("80s", "8s").replacen("\n\n[[", "\nshare = 0.1\n\n[[", 1);
    let both = watch.replace("environments.blue", "environments.trial") + &watch;
    world.repo.write("plimsoll.toml", world.configuration() + &both);
    let (first, second) = (world.built("first", "well"), world.built("second", "well"));
    for environment in ["blue", "trial"] {
        let at_once = format!("environments.{environment}.watch.bake=0s");
        world.plimsoll(["deploy", first.as_str(), "--env", environment, "--set", &at_once]).exits(0);
        let deploy = ["deploy", second.as_str(), "--env", environment];
        world
            .plimsoll(deploy.into_iter().chain(["--dry-run"]))
            .exits(0)
            .says(&["requests to the new release: 10 %"]);
        let listen = world.listen[usize::from(environment == "blue")];
        let load = Load::start(listen, "/version", 4, PAUSE);
        let report = world.json(deploy);
        let tally = load.stop();
        assert_eq!((tally.failed, &report["outcome"]), (0, &"succeeded".into()), "{tally:?} {report:#}");
        let metric = &report["watch"]["metrics"][0];
        let [new, old] = ["new", "old"].map(|side| metric[side]["exposure"].as_f64().unwrap());
        assert!(new + old > 500.0, "{metric:#}");
        let share = new / (new + old);
        assert!((share - 0.1).abs() < 0.01, "{environment}: {new} of {} requests, {share}", new + old);
    }
}

/// What an instance says decides alone, and at once: nobody waits for a verdict
/// on a release that crashes.
#[test]
fn a_release_that_crashes_while_it_is_compared_is_taken_back_without_a_verdict() {
    let mut world = World::new();
    world.repo.write("plimsoll.toml", world.configuration() + WATCH);
    let first = world.built("first", "well");
    let at_once = ["--set", "environments.blue.watch.bake=0s"];
    world.plimsoll(["deploy", first.as_str(), "--env", "blue"].into_iter().chain(at_once)).exits(0);
    let second = world.built("second", "crash AFTER_MS=1500");
    let failed = world.plimsoll(["deploy", second.as_str(), "--env", "blue"]).exits(1);
    assert!(failed.took < std::time::Duration::from_secs(60), "{:?}", failed.took);
    failed.says(&["DEP-104", "comparing", "out of memory, or so"]);
    assert_eq!(serves(&world), first.as_str());
    assert_eq!(world.json(["watch", "replay"])["watches"], serde_json::json!([]));
}
