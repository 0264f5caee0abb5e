//! kill -9 of the command at random moments: the next command finishes or
//! undoes, what serves goes on serving, and nothing is left behind.
//!
//! `PLIMSOLL_ROUNDS` plays more rounds, `PLIMSOLL_SEED` a printed one again.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;
use plimsoll_model::Commit;

use crate::evidence::signing_world;
use crate::http;
use crate::load::Load;
use crate::world::{PAUSE, World, pause};

/// Small random numbers, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn new(test: &str) -> Self {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let seed = number("PLIMSOLL_SEED").unwrap_or(now.as_nanos() as u64 & 0xffff_ffff);
        eprintln!("{test}: PLIMSOLL_SEED={seed}");
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn rounds(default: u64) -> u64 {
    std::env::var("PLIMSOLL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What the ledger says serves.
fn current(world: &World, environment: &str) -> Option<String> {
    let status = world.json(["status", "--env", environment]);
    status["environments"][0]["running"]["image_sha"].as_str().map(str::to_owned)
}

/// The command that brings a release into the environment: forward by deploy,
/// back by rollback.
fn towards<'a>(order: &BTreeMap<&str, usize>, from: &str, to: &'a str, environment: &'a str) -> Vec<&'a str> {
    if order[to] < order[from] {
        vec!["rollback", "--to", to, "--env", environment]
    } else {
        vec!["deploy", to, "--env", environment]
    }
}

fn rollouts_survive(environment: &'static str, address: usize) {
    let mut world = World::new();
    let releases: Vec<Commit> =
        ["first", "second", "third"].iter().map(|name| world.built(name, "well")).collect();
    let order: BTreeMap<&str, usize> =
        releases.iter().enumerate().map(|(n, sha)| (sha.as_str(), n)).collect();
    for sha in &releases {
        world.plimsoll(["deploy", sha.as_str(), "--env", environment]).exits(0);
    }
    let mut dice = Dice::new(environment);
    let load = Load::start(world.listen[address], "/version", 2, PAUSE);
    for round in 0..rounds(12) {
        let from = current(&world, environment).unwrap();
        let others: Vec<&str> = order.keys().copied().filter(|sha| *sha != from).collect();
        let to = others[dice.below(2) as usize];
        let command = towards(&order, &from, to, environment);
        let running = world.start(world.command(command.iter().copied()));
        let moment = Duration::from_millis(dice.below(800));
        pause(moment);
        running.signal(Signal::SIGKILL);
        running.wait();

        let recorded = current(&world, environment).unwrap();
        let next = match dice.below(3) {
            0 => releases[dice.below(3) as usize].as_str(),
            _ => to,
        };
        let again = towards(&order, &recorded, next, environment);
        let what = format!("round {round}: {command:?} killed after {moment:?}, then {again:?}");
        let mut run = world.plimsoll(again.iter().copied());
        // Killed when all but the tidying up was done, it is finished: going
        // to an older one is a rollback from then on, and that is said.
        if run.code() == 3 && next != to && order[next] < order[to] {
            run = run.says(&["RBK-003", "plimsoll rollback --to"]);
            assert_eq!(current(&world, environment).as_deref(), Some(to), "{what}\n{run:#?}");
            run = world.plimsoll(["rollback", "--to", next, "--env", environment]);
        }
        assert_eq!(run.code(), 0, "{what}\nstdout:\n{}\nstderr:\n{}", run.stdout, run.stderr);
        let status = &world.json(["status", "--env", environment])["environments"][0];
        assert_eq!(status["running"]["image_sha"], next, "{what}: {status:#}");
        assert_eq!(status["drift"]["state"], "none", "{what}: {status:#}");
        assert!(status["unfinished"].is_null() && status["lock"].is_null(), "{what}: {status:#}");
        let answer = http::get(&world.listen[address].to_string(), "/version");
        assert_eq!(answer.text(), format!("{{\"commit\":\"{next}\"}}"), "{what}");
        world.runs_exactly(1);
        let tally = load.tally();
        assert_eq!(tally.failed, 0, "{what}: {:?}", tally.failures);
    }
    let tally = load.stop();
    assert!(tally.failed == 0 && tally.requests > 100, "{tally:?}");
    world.plimsoll(["ledger", "verify"]).exits(0);
    for sha in &releases {
        world.plimsoll(["verify", sha.as_str()]).exits(0);
    }
}

#[test]
fn rolling_rollouts_survive_being_killed() {
    rollouts_survive("trial", 0);
}

#[test]
fn blue_green_rollouts_survive_being_killed() {
    rollouts_survive("blue", 1);
}

#[test]
fn builds_and_pushes_survive_being_killed() {
    let mut world = signing_world("");
    let text = std::fs::read_to_string(world.path().join("plimsoll.toml")).unwrap();
    let text = text.replace("command = \"printf", "command = \"sleep 0.1; printf");
    world.repo.write("plimsoll.toml", text);
    let host = world.registry.host();
    let mut dice = Dice::new("build");
    for round in 0..rounds(10) {
        let sha = world.release(&format!("release {round}"), "well");
        let by_push = dice.below(2) == 0;
        if by_push {
            world.plimsoll(["build", "--no-push"]).exits(0);
        }
        let command = if by_push { vec!["push", sha.as_str()] } else { vec!["build"] };
        let running = world.start(world.command(command.iter().copied()));
        let moment = Duration::from_millis(dice.below(if by_push { 500 } else { 1200 }));
        pause(moment);
        running.signal(Signal::SIGKILL);
        running.wait();
        let what = format!("round {round}: {command:?} killed after {moment:?}");
        let full = http::complete(&host, "acme/echo", sha.as_str());
        assert_ne!(full, Some(false), "{what}: half published");
        if full.is_some() {
            let short = http::complete(&host, "acme/echo", sha.short());
            assert_eq!(short, Some(true), "{what}: a full tag without its short one");
        }
        world.runs_exactly(0);
        let run = world.plimsoll(command.iter().copied());
        assert_eq!(run.code(), 0, "{what}\n{}\n{}", run.stdout, run.stderr);
        assert_eq!(http::complete(&host, "acme/echo", sha.as_str()), Some(true), "{what}");
        // The evidence is whole, whichever part of it was there already.
        let report = world.json(["verify", sha.as_str()]);
        let verified =
            report["evidence"].as_array().unwrap().iter().filter(|one| one["outcome"] == "verified");
        let roles: std::collections::BTreeSet<_> =
            verified.map(|one| one["role"].as_str().unwrap()).collect();
        let all = ["provenance", "record", "sbom", "signature"];
        assert!(all.iter().all(|role| roles.contains(role)), "{what}: {report:#}");
        assert_eq!(report["verified"], true, "{what}: {report:#}");
    }
    world.plimsoll(["ledger", "verify"]).exits(0);
    let left = std::fs::read_dir(world.state().join("tmp")).map_or(0, Iterator::count);
    assert!(left <= 1, "{left} checkouts of killed builds are left");
}
