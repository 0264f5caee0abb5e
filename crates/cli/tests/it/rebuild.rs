//! BLD-2: the same commit, the same bytes; and disks that are full.

use std::process::Command;

use plimsoll_testkit::peer;

use crate::http::complete;
use crate::world::World;

#[test]
fn a_commit_is_built_again_byte_for_byte_or_it_is_said_where_not() {
    let mut world = World::new();
    let first = world.built("first", "well");
    let run = world.plimsoll(["verify", first.as_str(), "--rebuild"]).exits(0);
    assert!(run.stdout.contains("byte for byte"), "{}", run.stdout);
    let document = world.json(["verify", first.as_str(), "--rebuild"]);
    assert_eq!(document["rebuild"]["identical"], true, "{document:#}");

    // In another directory, by another working copy's clone.
    let clone = tempfile::tempdir().unwrap();
    let path = clone.path().join("elsewhere");
    world.repo.git(&["clone", "--quiet", ".", path.to_str().unwrap()]);
    let mut build = world.command(["build", "--no-push", "--output", "json"]);
    build.current_dir(&path);
    let elsewhere = world.start(build).wait().exits(0).json();
    assert_eq!(elsewhere["image_digest"], document["image_digest"]);

    let text = world.configuration().replace("> service.conf", "> service.conf; date +%s%N >> service.conf");
    world.repo.write("plimsoll.toml", text);
    let second = world.built("second", "well");
    let run = world.plimsoll(["verify", second.as_str(), "--rebuild"]).exits(4);
    assert!(run.stdout.contains("etc/service.conf") && run.stdout.contains("NOT verified"), "{}", run.stdout);
    let document = world.json(["verify", second.as_str(), "--rebuild"]);
    assert_eq!(document["rebuild"]["identical"], false);
    assert!(document["rebuild"]["difference"].as_str().unwrap().contains("service.conf"), "{document:#}");
    // Nothing of this has moved what was published.
    world.plimsoll(["verify", second.as_str()]).exits(0);
}

/// A small file system in place of the state folder, for one command.
fn on_small_disk(world: &World, kilobytes: u32, arguments: &[&str]) -> Option<Command> {
    let probe = Command::new("unshare").args(["--mount", "true"]).output();
    peer::need("mount namespaces (root)", probe.ok().filter(|probe| probe.status.success()))?;
    let script = format!(
        "mkdir -p .plimsoll && mount -t tmpfs -o size={kilobytes}k none .plimsoll && exec \"$0\" \"$@\""
    );
    let inner = world.command(arguments.iter().copied());
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(world.path()).env_clear();
    for (name, value) in inner.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    Some(command)
}

#[test]
fn a_full_disk_fails_clearly_and_publishes_nothing() {
    let mut world = World::new();
    let sha = world.release("first", "well");
    for kilobytes in [16, 200, 1500] {
        let Some(command) = on_small_disk(&world, kilobytes, &["build"]) else { return };
        let run = world.start(command).wait();
        // Not even the ledger has room in the smallest one.
        assert!(matches!(run.code(), 1 | 5), "{kilobytes} kB: {run:#?}");
        let text = run.stderr.to_lowercase();
        let said = ["no space left", "is full", "free space"].iter().any(|words| text.contains(words));
        assert!(said && text.contains("hint"), "{kilobytes} kB: {}", run.stderr);
        assert_eq!(complete(&world.registry.host(), "acme/echo", sha.as_str()), None);
    }
    world.plimsoll(["build"]).exits(0);
    world.plimsoll(["verify", sha.as_str()]).exits(0);
}
