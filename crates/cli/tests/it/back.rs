//! RBK-*: the way back, with and without a registry.

use plimsoll_testkit::registry::Fault;

use crate::http;
use crate::world::World;

#[test]
fn back_without_a_registry_and_forward_only_by_deploy() {
    let (mut world, first) = World::with_release();
    let second = world.built("second", "well");
    let never = world.built("never deployed", "well");
    world.plimsoll(["deploy", second.as_str(), "--env", "trial"]).exits(0);
    let back = ["rollback", "--to", first.as_str(), "--env", "trial"];

    // RBK-3: a deploy does not go back, and says how to.
    let deploy = ["deploy", first.as_str(), "--env", "trial"];
    let hint = format!("plimsoll rollback --to {first} --env trial");
    world.plimsoll(deploy).exits(3).says(&["RBK-003", &hint, "nothing was touched"]);
    // RBK-1: only to what was deployed before.
    let to_never = ["rollback", "--to", never.as_str(), "--env", "trial"];
    world.plimsoll(to_never).exits(3).says(&["RBK-001", "nothing was touched"]);
    // Deployed before, but elsewhere.
    world.plimsoll(["rollback", "--to", first.as_str(), "--env", "blue"]).exits(3).says(&["RBK-001"]);
    world.runs_exactly(1);

    // RBK-2: the registry is down, and the image is still unpacked here.
    world.registry.faults().on("*", "").then(Fault::Reset);
    let status = &world.json(["status", "--env", "trial"])["environments"][0];
    let way = &status["ways_back"][0];
    assert!(way["possible"] == true && way["image_sha"] == first.as_str(), "{status:#}");
    assert!(way["reason"].as_str().unwrap().contains("registry cannot be asked"), "{status:#}");
    world.plimsoll(back).exits(0).says(&["the target still holds"]);
    assert!(http::get(&world.listen[0].to_string(), "/version").text().contains(first.as_str()));
    world.runs_exactly(1);

    // Neither here nor there.
    let images = world.state().join("environments/trial/images");
    for entry in std::fs::read_dir(&images).unwrap().flatten() {
        let in_use = world.json(["status", "--env", "trial"]);
        let serves = in_use["environments"][0]["running"]["image_ref"].as_str().unwrap().to_owned();
        if !serves.contains(entry.file_name().to_str().unwrap()) {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    let forward = ["rollback", "--to", second.as_str(), "--env", "trial"];
    world.plimsoll(forward).exits(5).says(&["nothing was touched"]);
    world.plimsoll(["deploy", second.as_str(), "--env", "trial"]).exits(5).says(&["nothing was touched"]);
    let status = &world.json(["status", "--env", "trial"])["environments"][0];
    assert_eq!(status["ways_back"][0]["possible"], false, "{status:#}");
    assert_eq!(status["running"]["image_sha"], first.as_str());
    world.runs_exactly(1);

    world.registry.faults().clear();
    world.plimsoll(forward).exits(0);
    let rollbacks = world.plimsoll(["metrics"]).exits(0).stdout;
    assert!(rollbacks.contains("rollback_total{repository_type=\"canonical\"} 2"), "{rollbacks}");
}
