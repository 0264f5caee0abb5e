//! DEP-6: a release that is worse than what serves is taken back by itself, with
//! the evidence, and is not tried again by itself.

use crate::evidence::check;
use crate::load::Load;
use crate::world::{PAUSE, World};

const WATCH: &str = r#"
[environments.blue.watch]
bake     = "85s"
interval = "1s"

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
