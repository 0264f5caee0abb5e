//! DEP-8: what dies is shown, and comes back.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::http;
use crate::world::{World, kill_all, until};

fn serves(world: &World) -> String {
    http::get(&world.listen[0].to_string(), "/version").text()
}

#[test]
fn what_dies_is_shown_and_comes_back() {
    let (world, first) = World::with_release();
    let up = ["up", "--env", "trial"];
    world.plimsoll(up).exits(0).says(&["runs as the last rollout left it"]);

    // A replica alone: its supervisor starts it again.
    let before = world.processes().services;
    kill_all([before[0]]);
    until("the replica is started again", || {
        let now = world.processes().services;
        now.len() == 2 && !now.contains(&before[0])
    });
    until("nothing drifts", || world.drift("trial")["state"] == "none");

    // A supervisor and with it its replica: shown, and healed by `up`.
    kill_all([world.processes().supervisors[0]]);
    until("the replica ended with its supervisor", || world.processes().services.len() == 1);
    let drift = world.drift("trial");
    assert_eq!(drift["state"], "drifted", "{drift:#}");
    let text = drift["differences"][0].as_str().unwrap().to_owned();
    assert!(text.contains("1 of 2 instances") && text.contains(first.short()), "{text}");
    let detail = &drift["details"][0];
    assert_eq!(detail["kind"], "missing", "{drift:#}");
    assert_eq!((&detail["expected"], &detail["found"]), (&"2 ready".into(), &"1 ready".into()));
    let shown = world.plimsoll(["status", "--env", "trial"]).exits(0);
    assert!(shown.stdout.contains("DRIFT") && shown.stdout.contains("plimsoll up"), "{}", shown.stdout);
    world.plimsoll(up).exits(0);
    assert_eq!(world.drift("trial")["state"], "none");
    world.runs_exactly(1);

    // The switch alone.
    kill_all(world.processes().switches);
    until("nobody listens", || std::net::TcpStream::connect(world.listen[0]).is_err());
    let drift = world.drift("trial");
    assert_ne!(drift["state"], "none", "{drift:#}");
    world.plimsoll(up).exits(0);
    assert!(serves(&world).contains(first.as_str()));
    assert_eq!(world.drift("trial")["state"], "none");
    world.runs_exactly(1);

    // Everything at once, as a power cut.
    kill_all(world.processes().all());
    until("all is dead", || world.processes().all().next().is_none());
    // A process that is ending has lost its name before its sockets are closed.
    let socket = world.path().join(".plimsoll/environments/trial/switch/switch.sock");
    until("nobody answers for the switch", || std::os::unix::net::UnixStream::connect(&socket).is_err());
    let drift = world.drift("trial");
    assert_eq!(drift["state"], "drifted", "{drift:#}");
    let run = world.plimsoll(up).exits(0);
    assert!(run.took < Duration::from_secs(20), "{run:?}");
    assert!(serves(&world).contains(first.as_str()));
    assert_eq!(world.drift("trial")["state"], "none");
    world.runs_exactly(1);
}

/// After a power cut a deployment needs no `up` first.
#[test]
fn a_deploy_after_everything_died() {
    let (mut world, first) = World::with_release();
    let second = world.built("second", "well");
    kill_all(world.processes().all());
    until("all is dead", || world.processes().all().next().is_none());
    // A process that is ending has lost its name before its sockets are closed.
    let socket = world.path().join(".plimsoll/environments/trial/switch/switch.sock");
    until("nobody answers for the switch", || std::os::unix::net::UnixStream::connect(&socket).is_err());
    world.plimsoll(["deploy", second.as_str(), "--env", "trial"]).exits(0);
    assert!(serves(&world).contains(second.as_str()));
    assert_eq!(world.drift("trial")["state"], "none");
    world.runs_exactly(1);
    kill_all(world.processes().all());
    world.plimsoll(["rollback", "--to", first.as_str(), "--env", "trial"]).exits(0);
    assert!(serves(&world).contains(first.as_str()));
    world.runs_exactly(1);
}

/// What a rollout that was killed has left is its own, with its entry, until a
/// command finishes or undoes it.
#[test]
fn what_a_killed_rollout_left_is_no_drift() {
    let (mut world, first) = World::with_release();
    let second = world.built("second", "well");
    let bake = ["--set", "environments.trial.watch.bake=60s"];
    let deploy = ["deploy", second.as_str(), "--env", "trial"];
    let running = world.start(world.command(deploy.into_iter().chain(bake)));
    // Both have been seen by now: the old ones are gone.
    until("only the new release serves", || {
        let rollout = &world.drift("trial")["rollout"];
        rollout["explains"][0]["found"].as_str().is_some_and(|found| found.starts_with("2 of "))
    });
    running.signal(Signal::SIGKILL);
    running.wait();
    let status = &world.json(["status", "--env", "trial"])["environments"][0];
    assert_eq!(status["running"]["image_sha"], first.as_str(), "{status:#}");
    let drift = &status["drift"];
    assert_eq!((&drift["state"], &drift["rollout"]["rollout"]), (&"none".into(), &status["unfinished"]));
    let entry = drift["rollout"]["ledger_entry"].as_u64().unwrap();
    let shown = world.plimsoll(["status", "--env", "trial"]).exits(0).stdout;
    let said = format!("2 instances of {} run, by trial-{}", second.short(), second.short());
    assert!(shown.contains(&said) && shown.contains(&format!("(ledger entry {entry})")), "{shown}");

    // All of them die: that is explained by nothing.
    kill_all(world.processes().supervisors);
    until("none is left", || world.processes().services.is_empty());
    let drift = world.drift("trial");
    assert_eq!((&drift["state"], &drift["kinds"]["missing"]), (&"drifted".into(), &1.into()), "{drift:#}");
    world.plimsoll(deploy).exits(0);
    assert_eq!(
        (world.drift("trial")["state"].as_str(), serves(&world).contains(second.as_str())),
        (Some("none"), true)
    );
    world.runs_exactly(1);
}
