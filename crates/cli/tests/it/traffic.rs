//! DEP-4: no request fails, and what is under way is finished.

use std::io::{BufRead, Read, Write};

use nix::sys::signal::Signal;

use crate::http::{self, connect, head_of};
use crate::load::Load;

use crate::world::{PAUSE, World, until};

fn nothing_fails(environment: &str, address: usize) {
    let mut world = World::new();
    let [first, second] = ["first", "second"].map(|name| world.built(name, "well"));
    for sha in [&first, &second] {
        world.plimsoll(["deploy", sha.as_str(), "--env", environment]).exits(0);
    }
    let load = Load::start(world.listen[address], "/version", 3, PAUSE);
    let slow = Load::start(world.listen[address], "/slow", 2, PAUSE);
    for _ in 0..5 {
        world.plimsoll(["rollback", "--to", first.as_str(), "--env", environment]).exits(0);
        world.plimsoll(["deploy", second.as_str(), "--env", environment]).exits(0);
    }
    for tally in [load.stop(), slow.stop()] {
        assert_eq!(tally.failed, 0, "{tally:?}");
        assert!(tally.by_version.len() == 2 && tally.requests > 10, "{tally:?}");
    }
    world.runs_exactly(1);
}

#[test]
fn ten_rolling_rollouts_under_load() {
    nothing_fails("trial", 0);
}

#[test]
fn ten_blue_green_rollouts_under_load() {
    nothing_fails("blue", 1);
}

#[test]
fn streams_and_upgraded_connections_live_until_drained() {
    for (environment, address) in [("trial", 0), ("blue", 1)] {
        let mut world = World::new();
        let [first, second] = ["first", "second"].map(|name| world.built(name, "well"));
        world.plimsoll(["deploy", first.as_str(), "--env", environment]).exits(0);
        let listen = world.listen[address];

        let mut upgraded = connect(listen);
        upgraded
            .get_mut()
            .write_all(b"GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
            .unwrap();
        assert_eq!(head_of(&mut upgraded), 101);
        let mut echo = |text: &str| {
            upgraded.get_mut().write_all(format!("{text}\n").as_bytes()).unwrap();
            let mut line = String::new();
            upgraded.read_line(&mut line).unwrap();
            assert_eq!(line, format!("{first} {text}\n"));
        };
        echo("before");
        let mut stream = connect(listen);
        stream
            .get_mut()
            .write_all(b"GET /stream?n=40 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .unwrap();
        assert_eq!(head_of(&mut stream), 200);

        let mut deploy = world.start(world.command(["deploy", second.as_str(), "--env", environment]));
        let served = || http::get(&listen.to_string(), "/version").text();
        until("the new release serves", || served().contains(second.as_str()));
        echo("after the switch");
        let mut streamed = String::new();
        stream.read_to_string(&mut streamed).unwrap();
        assert_eq!(streamed.matches(first.as_str()).count(), 40, "{streamed}");
        assert!(streamed.ends_with("0\r\n\r\n"), "{streamed}");
        assert!(deploy.runs(), "deployed while a connection was still in use");
        echo("and after the stream");
        drop(upgraded);
        deploy.wait().exits(0);
        world.runs_exactly(1);
    }
}

/// A person's Ctrl-C in the middle: undone, recorded, and nobody notices.
#[test]
fn an_interrupted_deploy_is_undone() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (mut world, first) = World::with_release();
        let second = world.built("second", "slow-start AFTER_MS=20000");
        let load = Load::start(world.listen[0], "/version", 2, PAUSE);
        let deploy = world.start(world.command(["deploy", second.as_str(), "--env", "trial"]));
        until("the new release starts", || world.processes().services.len() == 3);
        deploy.signal(signal);
        let run = deploy.wait().exits(130).says(&["DEP-111", "interrupted"]);
        assert!(run.took.as_secs() < 15, "{run:?}");
        let status = &world.json(["status", "--env", "trial"])["environments"][0];
        assert_eq!(status["running"]["image_sha"], first.as_str());
        assert_eq!(status["drift"]["state"], "none", "{status:#}");
        assert!(status["unfinished"].is_null() && status["lock"].is_null(), "{status:#}");
        let history = world.json(["history", "-n", "1"]);
        assert!(history["history"][0]["reason"].as_str().unwrap().contains("interrupted"), "{history:#}");
        world.runs_exactly(1);
        assert_eq!(load.stop().failed, 0);
    }
}

#[test]
fn an_interrupted_build_leaves_no_process() {
    let mut world = World::new();
    let text =
        world.configuration().replace("command = \"printf", "command = \"sleep 600 & sleep 600; printf");
    world.repo.write("plimsoll.toml", text);
    let sha = world.release("first", "well");
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let build = world.start(world.command(["build"]));
        until("the build command runs", || world.processes().others.len() >= 3);
        build.signal(signal);
        let run = build.wait().exits(130);
        assert!(run.took.as_secs() < 15, "{run:?}");
        world.runs_exactly(0);
    }
    let show = world.json(["show", sha.as_str()]);
    assert_eq!(show["builds"].as_array().map(Vec::len), Some(0), "{show:#}");
    assert_eq!(http::complete(&world.registry.host(), "acme/echo", sha.as_str()), None);
    world.plimsoll(["ledger", "verify"]).exits(0);
}
