//! DEP-5: a release that cannot serve is found out within seconds, with the
//! reason and the last lines, and the old one goes on.

use std::time::Duration;

use crate::load::Load;
use crate::world::{PAUSE, World};

/// Seconds, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(15);

#[test]
fn a_release_that_cannot_serve_is_stopped_soon() {
    let (mut world, first) = World::with_release();
    let text = world.configuration();
    // The working copy says how long a probe may fail.
    let working = text.replace("drain_timeout   = \"5s\"", "drain_timeout   = \"5s\"\nprobe_grace = \"2s\"");
    let load = Load::start(world.listen[0], "/version", 2, PAUSE);
    let cases: [(&str, &str, &str, &str, &[&str]); 5] = [
        ("exits", "exit", "/service", "DEP-103", &["status 3", "DATABASE_URL is not set"]),
        ("missing", "well", "/nothing", "DEP-102", &["there is no `/nothing` in the image"]),
        ("no program", "well", "/etc/service.conf", "DEP-102", &["/etc/service.conf", "cannot be executed"]),
        ("unready", "never-ready", "/service", "DEP-105", &["503", "/healthz", "starting never-ready"]),
        ("crashes", "crash AFTER_MS=0", "/service", "DEP-104", &["status 4", "out of memory, or so"]),
    ];
    for (name, behaviour, entrypoint, code, words) in cases {
        world.repo.write("plimsoll.toml", text.replace("\"/service\"]", &format!("\"{entrypoint}\"]")));
        let sha = world.built(name, behaviour);
        world.repo.write("plimsoll.toml", &working);
        let deploy = ["deploy", sha.as_str(), "--env", "trial"];
        let run = world.plimsoll(deploy).exits(1).says(&[code, "failed", "plimsoll explain"]).says(words);
        assert!(run.took < SOON, "{name}: {:?}", run.took);
        let document = world.json(deploy);
        assert_eq!((&document["outcome"], &document["code"]), (&"failed".into(), &code.into()), "{name}");
        let status = &world.json(["status", "--env", "trial"])["environments"][0];
        assert_eq!(status["running"]["image_sha"], first.as_str(), "{name}: {status:#}");
        assert_eq!(status["drift"]["state"], "none", "{name}: {status:#}");
        world.runs_exactly(1);
        assert_eq!(load.tally().failed, 0, "{name}: {:?}", load.tally());
    }
    assert_eq!(load.stop().failed, 0);
    world.plimsoll(["ledger", "verify"]).exits(0);
}

/// The first deployment of all: there is nothing to go back to.
#[test]
fn a_first_release_that_cannot_serve_leaves_nothing() {
    let mut world = World::new();
    let sha = world.built("exits", "exit");
    for environment in ["trial", "blue"] {
        let run = world.plimsoll(["deploy", sha.as_str(), "--env", environment]);
        run.exits(1).says(&["DEP-103", "DATABASE_URL is not set", "serving: nothing"]);
        let status = &world.json(["status", "--env", environment])["environments"][0];
        assert!(status["running"].is_null() && status["unfinished"].is_null(), "{status:#}");
    }
    let left = world.processes();
    assert_eq!((left.services.len(), left.supervisors.len()), (0, 0), "{left:?}");
}
