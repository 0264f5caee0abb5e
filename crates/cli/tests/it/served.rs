//! `plimsoll serve` and the drift it looks for, while its configuration changes.

use std::io::Write as _;
use std::process::Stdio;

use plimsoll_testkit::peer;

use crate::http;
use crate::world::{World, free_address, kill_all, until};

#[test]
fn what_is_looked_at_and_how_often_follows_the_configuration() {
    let (world, _) = World::with_release();
    let toml = world.configuration();
    let every = |interval: &str| {
        world.repo.write("plimsoll.toml", format!("{toml}\n[serve]\ndrift_interval = \"{interval}\"\n"));
    };
    every("1h");
    let address = free_address().to_string();
    let serve = world.start(world.command(["serve", "--listen", &address]));
    until("it serves", || std::net::TcpStream::connect(&address).is_ok());
    let metrics = || http::get(&address, "/metrics").text();
    let has = |sample: &str| metrics().lines().any(|line| line == sample);
    until("it has looked", || has("plimsoll_drift{environment=\"trial\"} 0"));

    kill_all(world.processes().supervisors);
    until("nothing runs", || world.processes().services.is_empty());
    every("200ms");
    until("it has looked again", || has("plimsoll_drift{environment=\"trial\"} 1"));
    assert!(has("plimsoll_drift_differences{environment=\"trial\",kind=\"missing\"} 1"), "{}", metrics());
    // That was the change; this is the interval.
    world.plimsoll(["up", "--env", "trial"]).exits(0);
    until("it looks as often as it is told now", || has("plimsoll_drift{environment=\"trial\"} 0"));
    if let Some(peers) = peer::require(&["promtool"]) {
        let mut promtool = peers.command("promtool");
        let mut promtool = promtool.args(["check", "metrics"]).stdin(Stdio::piped()).spawn().unwrap();
        promtool.stdin.take().unwrap().write_all(metrics().as_bytes()).unwrap();
        assert!(promtool.wait().unwrap().success());
    }

    // Another environment in place of one.
    world.repo.write("plimsoll.toml", toml.replace("environments.blue", "environments.green"));
    until("the new one is looked at, and the old one is not", || {
        let metrics = metrics();
        metrics.contains("plimsoll_drift{environment=\"green\"}")
            && !metrics.contains("{environment=\"blue\"")
    });
    drop(serve);
}
