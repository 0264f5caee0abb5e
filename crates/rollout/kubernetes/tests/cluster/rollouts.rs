//! Rollouts that go well.

use plimsoll_model::Strategy;
use plimsoll_rollout_core::Target as _;
use plimsoll_rollout_core::machine::End;
use serde_json::json;

use crate::scene::{Scene, ready, release};

#[tokio::test]
async fn rolling_replaces_every_pod_and_touches_only_what_is_ours() {
    let scene = Scene::new();
    let before = scene.cluster.get("deployments", "shop", "payouts");
    let service = scene.cluster.get("services", "shop", "payouts")["spec"].clone();
    let outcome = scene.roll(scene.record(Strategy::Rolling, Some(1), 9)).await.unwrap();
    assert_eq!(outcome.end, End::Committed, "{:?}\n{:#?}", outcome.state.stop, scene.notes.lock().unwrap());
    assert_eq!(outcome.state.incomplete, None);
    let mut after = scene.cluster.get("deployments", "shop", "payouts");
    assert_eq!(scene.image(), release(9).image.to_string());
    assert_eq!(ready(&scene.cluster), 3);
    let notes = &after["metadata"]["annotations"];
    assert_eq!(notes["plimsoll.dev/sha"], json!(release(9).sha().as_str()));
    assert_eq!(notes["plimsoll.dev/ledger-entry"], json!("42"));
    assert_eq!(scene.cluster.get("services", "shop", "payouts")["spec"], service);
    // All but the image and our labels of the template is as it was.
    let container = &mut after["spec"]["template"]["spec"]["containers"][0];
    container["image"] = json!(release(1).image.to_string());
    assert_eq!(after["spec"]["template"]["spec"], before["spec"]["template"]["spec"]);
    assert_eq!(after["spec"]["replicas"], before["spec"]["replicas"]);
}

#[tokio::test]
async fn blue_green_moves_all_requests_at_once_and_leaves_nothing_behind() {
    let scene = Scene::new();
    let service = scene.cluster.get("services", "shop", "payouts")["spec"].clone();
    let outcome = scene.roll(scene.record(Strategy::BlueGreen, Some(1), 9)).await.unwrap();
    assert_eq!(outcome.end, End::Committed, "{:?}\n{:#?}", outcome.state.stop, scene.notes.lock().unwrap());
    assert_eq!(outcome.state.incomplete, None);
    assert_eq!(scene.image(), release(9).image.to_string());
    assert_eq!(scene.cluster.list("deployments", "shop").len(), 1);
    assert_eq!(scene.cluster.list("services", "shop").len(), 1);
    assert_eq!(scene.cluster.get("services", "shop", "payouts")["spec"], service);
    // Again, with what is there now.
    let outcome = scene.roll(scene.record(Strategy::BlueGreen, Some(9), 8)).await.unwrap();
    assert_eq!(outcome.end, End::Committed, "{:?}", outcome.state.stop);
    assert_eq!(scene.image(), release(8).image.to_string());
}

/// The end is noticed within half a second of the last pod's readiness.
#[tokio::test]
async fn the_end_is_noticed_at_once() {
    let scene = Scene::new();
    // The cluster's clock goes on by the turn: news that are on the wire for longer
    // than a turn takes would count as noticed late.
    scene.wire_ms.store(150, std::sync::atomic::Ordering::SeqCst);
    let outcome = scene.roll(scene.record(Strategy::Rolling, Some(1), 9)).await.unwrap();
    assert_eq!(outcome.end, End::Committed);
    let last_ready = scene
        .cluster
        .list("pods", "shop")
        .iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .flat_map(|pod| pod["status"]["conditions"].as_array().cloned().unwrap_or_default())
        .filter(|condition| condition["type"] == "Ready")
        .filter_map(|condition| condition["lastTransitionTime"].as_str()?.parse::<jiff::Timestamp>().ok())
        .max()
        .unwrap();
    // The condition's time has whole seconds.
    let late = i64::try_from(scene.cluster.now()).unwrap() - last_ready.as_millisecond();
    // And a pod counts after its minReadySeconds only.
    assert!(late < 3_000 + 1_000 + 500, "{late} ms after the second of the last pod's readiness");
}

/// Whoever waits is told of what happens, and need not look again and again.
#[tokio::test]
async fn a_change_is_told() {
    let scene = Scene::new();
    let target = scene.target();
    target.observe().await.unwrap();
    scene.cluster.edit_as("somebody", "deployments", "shop", "payouts", |object| {
        object["spec"]["replicas"] = 5.into();
    });
    let told = async {
        loop {
            target.changed().await;
            if target.observe().await.unwrap().scale == Some(5) {
                break;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), told).await.unwrap();
}

#[tokio::test]
async fn an_autoscaler_may_change_the_number_on_the_way() {
    for strategy in [Strategy::Rolling, Strategy::BlueGreen] {
        let scene = Scene::new();
        scene.on_each_turn(|cluster, turn| {
            if turn == 10 {
                cluster.edit_as("hpa", "deployments", "shop", "payouts", |object| {
                    object["spec"]["replicas"] = json!(5);
                });
            }
        });
        let outcome = scene.roll(scene.record(strategy, Some(1), 9)).await.unwrap();
        assert_eq!(outcome.end, End::Committed, "{:?}", outcome.state.stop);
        let deployment = scene.cluster.get("deployments", "shop", "payouts");
        assert_eq!(deployment["spec"]["replicas"], json!(5), "{strategy}");
        assert_eq!(outcome.state.scale, Some(5));
    }
}

#[tokio::test]
async fn the_first_rollout_adopts_what_runs() {
    for strategy in [Strategy::Rolling, Strategy::BlueGreen] {
        let scene = Scene::new();
        scene.cluster.edit_as("kubectl-set", "deployments", "shop", "payouts", |object| {
            object["spec"]["template"]["spec"]["containers"][0]["image"] =
                json!("registry.example.com/acme/payouts:v1");
            object["spec"]["template"]["metadata"]["labels"]
                .as_object_mut()
                .unwrap()
                .remove("plimsoll.dev/slot");
        });
        scene.cluster.settle_until(60_000, |cluster| ready(cluster) == 3);
        scene.cluster.advance(60_000);
        let outcome = scene.roll(scene.record(strategy, None, 9)).await.unwrap();
        assert_eq!(
            outcome.end,
            End::Committed,
            "{:?}\n{:#?}",
            outcome.state.stop,
            scene.notes.lock().unwrap()
        );
        assert_eq!(scene.image(), release(9).image.to_string());
    }
}
