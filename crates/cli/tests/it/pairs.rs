//! Two at once into one environment: one waits or is refused, never both.

use serde_json::Value;

use crate::load::Load;

use crate::world::{PAUSE, World, until};

/// Who is said to be at work (see [`World::command`]).
const USER: &str = "ann on ";

/// Every rollout of `trial` in the ledger ended before the next one began.
fn never_interleaved(world: &World) {
    let export = world.plimsoll(["ledger", "export"]).exits(0).stdout;
    let mut open: Option<String> = None;
    let mut ended = 0;
    for line in export.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        if entry["environment"] != "trial" {
            continue;
        }
        let rollout = entry["body"]["body"]["rollout"].as_str().map(str::to_owned);
        match entry["kind"].as_str() {
            Some("rollout.started") => {
                assert_eq!(open, None, "{rollout:?} began while another was under way");
                open = rollout;
            }
            Some("rollout.step") => assert_eq!(open, rollout),
            Some("rollout.finished") => {
                assert_eq!(open.take(), rollout);
                ended += 1;
            }
            _ => {}
        }
    }
    assert!(open.is_none() && ended > 1, "{ended} ended, {open:?} is open");
}

#[test]
fn two_at_once_never_interleave() {
    let (mut world, first) = World::with_release();
    let [second, third] = ["second", "third"].map(|name| world.built(name, "well"));
    let (first, second, third) = (first.as_str(), second.as_str(), third.as_str());
    let load = Load::start(world.listen[0], "/version", 2, PAUSE);
    let mut refused = 0;
    for round in 0..10 {
        let waits = round % 2 == 0;
        let mut one = vec!["deploy", third, "--env", "trial"];
        if waits {
            one.extend(["--wait", "60s"]);
        }
        // The other way round, too: a rollback against a deploy.
        let other = match round % 3 {
            2 => vec!["rollback", "--to", first, "--env", "trial"],
            _ => vec!["deploy", second, "--env", "trial"],
        };
        let runs = [one.clone(), other.clone()].map(|arguments| world.start(world.command(arguments)));
        let [one, other] = runs.map(crate::world::Running::wait);
        let what = format!("round {round}:\n{one:#?}\n{other:#?}");
        for run in [&one, &other] {
            assert!(matches!(run.code(), 0 | 3), "{what}");
            if run.code() == 3 {
                refused += 1;
                let locked = run.stderr.contains(USER) && run.stderr.contains("since");
                assert!(locked || run.stdout.contains("RBK-00"), "{what}");
            }
        }
        assert!(one.code() == 0 || other.code() == 0, "{what}");
        if waits {
            assert_eq!(one.code(), 0, "{what}");
        }
        let status = &world.json(["status", "--env", "trial"])["environments"][0];
        assert_eq!(status["drift"]["state"], "none", "{what}\n{status:#}");
        world.runs_exactly(1);
        if status["running"]["image_sha"] != first {
            world.plimsoll(["rollback", "--to", first, "--env", "trial"]).exits(0);
        }
    }
    assert!(refused > 0, "never refused");
    let tally = load.stop();
    assert_eq!(tally.failed, 0, "{tally:?}");
    never_interleaved(&world);
    world.plimsoll(["ledger", "verify"]).exits(0);
}

#[test]
fn the_second_is_told_who_holds_the_lock_or_waits() {
    let (mut world, first) = World::with_release();
    let second = world.built("second", "slow-start AFTER_MS=3000");
    let deploy = world.start(world.command(["deploy", second.as_str(), "--env", "trial"]));
    until("the first one has begun", || world.processes().services.len() == 3);
    let back = ["rollback", "--to", first.as_str(), "--env", "trial"];
    world.plimsoll(back).exits(3).says(&[
        "DEP-113",
        "environment `trial` is locked",
        USER,
        "since",
        "--wait",
    ]);
    let document = world.json(back);
    assert_eq!(document["schema"], "plimsoll/error/v1");
    // Another environment is nobody else's business.
    world.plimsoll(["deploy", first.as_str(), "--env", "blue"]).exits(0);
    let waited = world.plimsoll(back.into_iter().chain(["--wait", "1m"])).exits(0);
    assert!(waited.stderr.contains("waiting for the lock"), "{}", waited.stderr);
    deploy.wait().exits(0);
    let status = world.json(["status", "--env", "trial"]);
    assert_eq!(status["environments"][0]["running"]["image_sha"], first.as_str());
    never_interleaved(&world);
}
