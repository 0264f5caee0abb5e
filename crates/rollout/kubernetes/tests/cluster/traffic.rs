//! No request through the Service is lost (DEP-4), although every node hears
//! a second late of each change.

use plimsoll_model::Strategy;
use plimsoll_rollout_core::machine::End;
use plimsoll_testkit_cluster::{Behaviour, Settings};
use serde_json::json;

use crate::scene::{Scene, release};

/// Between two requests, in virtual milliseconds.
const EVERY: u64 = 20;

fn scene() -> Scene {
    let scene = Scene::with(Settings { endpoint_delay: 1_000, ..Settings::default() });
    scene.cluster.advance(5_000);
    scene
}

#[tokio::test]
async fn none_is_lost_on_the_way_to_a_release() {
    for strategy in [Strategy::Rolling, Strategy::BlueGreen] {
        let scene = scene();
        let load = scene.cluster.begin_load("shop", "payouts", EVERY);
        let outcome = scene.roll(scene.record(strategy, Some(1), 9)).await.unwrap();
        assert_eq!(outcome.end, End::Committed, "{:?}", outcome.state.stop);
        scene.cluster.advance(10_000);
        let load = scene.cluster.load(load);
        assert_eq!(load.failed, 0, "{strategy}: {:?}", load.failures);
        for n in [1, 9] {
            let image = release(n).image.to_string();
            assert!(
                load.by_image.get(&image).is_some_and(|served| *served > 50),
                "{strategy}: {:?}",
                load.by_image
            );
        }
    }
}

/// With a blue/green rollout not even when it gets ready first and crashes
/// then; with a rolling one, when it never gets ready.
#[tokio::test]
async fn none_is_lost_on_the_way_back() {
    for (strategy, behaviour) in [
        (Strategy::BlueGreen, Behaviour::exits_after(300, 1)),
        (Strategy::Rolling, Behaviour::never_ready("HTTP probe failed with statuscode: 500")),
    ] {
        let scene = scene();
        scene.cluster.image(&release(9).image.to_string(), behaviour);
        let load = scene.cluster.begin_load("shop", "payouts", EVERY);
        let outcome = scene.roll(scene.record(strategy, Some(1), 9)).await.unwrap();
        assert_eq!(outcome.end, End::Reverted);
        scene.cluster.advance(10_000);
        let load = scene.cluster.load(load);
        assert_eq!(load.failed, 0, "{strategy}: {:?}", load.failures);
    }
}

/// A release that gets ready and crashes takes requests, as ready pods do; it
/// does not take the others' place.
#[tokio::test]
async fn a_release_that_crashes_when_it_is_ready_does_not_replace_the_others() {
    let scene = scene();
    scene.cluster.image(&release(9).image.to_string(), Behaviour::exits_after(300, 1));
    let load = scene.cluster.begin_load("shop", "payouts", EVERY);
    let outcome = scene.roll(scene.record(Strategy::Rolling, Some(1), 9)).await.unwrap();
    assert_eq!(outcome.end, End::Reverted);
    scene.cluster.advance(10_000);
    let load = scene.cluster.load(load);
    assert!(
        load.failures.iter().all(|(_, pod)| !pod.is_empty()),
        "somebody always serves: {:?}",
        load.failures
    );
    assert!(load.by_image.get(&release(1).image.to_string()).is_some_and(|served| *served > load.failed));
}

/// What the warning about a missing preStop is about.
#[tokio::test]
async fn without_pre_stop_some_are_lost() {
    let scene = scene();
    scene.cluster.edit_as("kubectl", "deployments", "shop", "payouts", |object| {
        object["spec"]["template"]["spec"]["containers"][0]["lifecycle"] = json!(null);
    });
    scene.cluster.advance(60_000);
    let warnings = scene.target().check(Strategy::Rolling, 10).await.unwrap();
    assert!(warnings.iter().any(|warning| warning.contains("preStop")), "{warnings:?}");
    let load = scene.cluster.begin_load("shop", "payouts", EVERY);
    let outcome = scene.roll(scene.record(Strategy::Rolling, Some(1), 9)).await.unwrap();
    assert_eq!(outcome.end, End::Committed);
    scene.cluster.advance(10_000);
    assert!(scene.cluster.load(load).failed > 0);
}
