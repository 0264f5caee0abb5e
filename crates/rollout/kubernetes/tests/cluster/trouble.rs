//! Releases that do not start, and others who are at work on the same thing.

use plimsoll_model::Strategy;
use plimsoll_rollout_core::machine::End;
use plimsoll_rollout_core::{Applied, Fence, Outcome, Plan, State, Target as _, machine::desired_for};
use plimsoll_testkit_cluster::{Behaviour, Review, Settings, Verdict};
use serde_json::json;

use crate::scene::{Scene, ready, release};

/// It was stopped with this code within so many seconds of the cluster's time,
/// and what served before serves.
fn stopped(scene: &Scene, outcome: &Outcome, code: &str, within: u64, began: u64) -> String {
    let stop = outcome.state.stop.clone();
    let notes = scene.notes.lock().unwrap().clone();
    assert_eq!(outcome.end, End::Reverted, "{stop:?}\n{notes:#?}");
    let stop = stop.unwrap();
    assert_eq!(stop.code, code, "{}\n{notes:#?}", stop.reason);
    assert_eq!(outcome.state.incomplete, None, "{notes:#?}");
    assert_eq!(scene.image(), release(1).image.to_string());
    assert_eq!(ready(&scene.cluster), 3);
    assert_eq!(scene.cluster.list("deployments", "shop").len(), 1);
    let took = scene.seconds() - began;
    assert!(took <= within, "{took} s of {within}\n{notes:#?}");
    format!("{}\n{}", stop.reason, stop.last_lines.join("\n"))
}

/// Rolls out release 9 with this image both ways.
async fn fails_both_ways(behaviour: impl Fn() -> Behaviour, code: &str, within: u64, words: &[&str]) {
    for strategy in [Strategy::Rolling, Strategy::BlueGreen] {
        let scene = Scene::new();
        scene.cluster.image(&release(9).image.to_string(), behaviour());
        let began = scene.seconds();
        let outcome = scene.roll(scene.record(strategy, Some(1), 9)).await.unwrap();
        let said = stopped(&scene, &outcome, code, within, began);
        for word in words {
            assert!(said.contains(word), "{word:?} in {said}");
        }
    }
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled() {
    let words = "manifest unknown: manifest unknown";
    fails_both_ways(
        || Behaviour::cannot_be_pulled(words),
        "DEP-101",
        30,
        &["manifest unknown", "kubectl -n shop"],
    )
    .await;
}

#[tokio::test]
async fn a_crash_loop_is_shown_with_its_last_lines() {
    let crashes = || Behaviour::exits_after(500, 3).with_log(&["connecting", "no such table: payouts"]);
    fails_both_ways(crashes, "DEP-103", 40, &["status 3", "no such table: payouts", "--previous"]).await;
}

#[tokio::test]
async fn too_little_memory_is_said() {
    fails_both_ways(|| Behaviour::out_of_memory_after(500), "DEP-103", 40, &["OOMKilled"]).await;
}

#[tokio::test]
async fn a_configuration_that_is_not_there() {
    let words = "secret \"payouts-db\" not found";
    fails_both_ways(|| Behaviour::config_error(words), "DEP-102", 20, &[words]).await;
}

#[tokio::test]
async fn a_probe_that_says_no_for_longer_than_its_grace() {
    // The startup probe of the first manifests tries for a minute.
    let words = "HTTP probe failed with statuscode: 503";
    fails_both_ways(
        || Behaviour::never_ready(words),
        "DEP-105",
        90,
        &["statuscode: 503", "event: Unhealthy"],
    )
    .await;
}

#[tokio::test]
async fn a_quota_that_leaves_no_room() {
    let scene = Scene::new();
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: team, namespace: shop}\nspec: {hard: {pods: \"3\"}}\n";
    scene.cluster.apply_yaml(quota);
    scene.cluster.settle();
    let began = scene.seconds();
    let outcome = scene.roll(scene.record(Strategy::BlueGreen, Some(1), 9)).await.unwrap();
    let said = stopped(&scene, &outcome, "DEP-106", 90, began);
    assert!(said.contains("exceeded quota: team"), "{said}");
}

#[tokio::test]
async fn a_policy_that_refuses_the_pods() {
    let scene = Scene::new();
    let nine = release(9).image.to_string();
    scene.cluster.webhook("policy.example.com", move |review: &Review<'_>| {
        let refuses = review.kind.kind == "Pod" && review.object.to_string().contains(&nine);
        if refuses { Verdict::Deny("the image is not signed".into()) } else { Verdict::Allow }
    });
    let began = scene.seconds();
    let outcome = scene.roll(scene.record(Strategy::Rolling, Some(1), 9)).await.unwrap();
    let said = stopped(&scene, &outcome, "DEP-115", 30, began);
    assert!(said.contains("the image is not signed"), "{said}");
}

#[tokio::test]
async fn somebody_else_sets_the_image_during_the_rollout() {
    let scene = Scene::new();
    scene.on_each_turn(|cluster, turn| {
        if turn == 8 {
            cluster.edit_as("kubectl-set", "deployments", "shop", "payouts", |object| {
                object["spec"]["template"]["spec"]["containers"][0]["image"] =
                    json!(release(5).image.to_string());
            });
        }
    });
    let began = scene.seconds();
    let outcome = scene.roll(scene.record(Strategy::Rolling, Some(1), 9)).await.unwrap();
    let said = stopped(&scene, &outcome, "DEP-112", 60, began);
    assert!(said.contains("by kubectl-set at 2026-"), "{said}");
    assert!(said.contains(&release(5).image.to_string()), "{said}");
}

#[tokio::test]
async fn somebody_else_edits_what_is_theirs_and_it_goes_on() {
    let scene = Scene::new();
    scene.on_each_turn(|cluster, turn| {
        if turn % 7 == 3 && turn < 60 {
            cluster.edit_as("kubectl-edit", "deployments", "shop", "payouts", |object| {
                object["metadata"]["annotations"]["team"] = json!(turn.to_string());
            });
        }
        if turn == 20 {
            cluster.edit_as("kubectl-edit", "deployments", "shop", "payouts", |object| {
                let container = &mut object["spec"]["template"]["spec"]["containers"][0];
                container["env"] = json!([{ "name": "LEVEL", "value": "debug" }]);
            });
        }
    });
    let outcome = scene.roll(scene.record(Strategy::Rolling, Some(1), 9)).await.unwrap();
    assert_eq!(outcome.end, End::Committed, "{:?}", outcome.state.stop);
    let deployment = scene.cluster.get("deployments", "shop", "payouts");
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"], json!("debug"));
}

#[tokio::test]
async fn an_older_owner_is_refused_and_changes_nothing() {
    let scene = Scene::new();
    let (old, new) = (scene.target(), scene.target());
    let plan = Plan::simulated(scene.record(Strategy::Rolling, Some(1), 9));
    let desire = |fence: u64, phase| {
        let state =
            State { phase, generation: fence * 10_000 + 1, fence: Some(Fence(fence)), ..State::new() };
        desired_for(&plan, &state).unwrap()
    };
    use plimsoll_rollout_core::Phase::{Expanding, Reverting};
    assert_eq!(old.apply(&desire(1, Expanding), Fence(1)).await.unwrap(), Applied::Accepted);
    assert_eq!(new.apply(&desire(2, Reverting), Fence(2)).await.unwrap(), Applied::Accepted);
    let revision = scene.cluster.get("deployments", "shop", "payouts")["metadata"]["resourceVersion"].clone();
    // The old one still believes what it saw last.
    let next = desire(1, Expanding);
    let next = plimsoll_rollout_core::Desired { generation: next.generation + 1, ..next };
    assert_eq!(old.apply(&next, Fence(1)).await.unwrap(), Applied::Fenced { seen: Fence(2) });
    let after = scene.cluster.get("deployments", "shop", "payouts");
    assert_eq!(after["metadata"]["resourceVersion"], revision);
    assert_eq!(scene.image(), release(1).image.to_string());
}

#[tokio::test]
async fn a_node_that_dies_is_named_and_is_no_endless_wait() {
    let settings = Settings { node_grace: 5_000, ..Settings::default() };
    let scene = Scene::with(settings);
    scene.cluster.image(&release(9).image.to_string(), Behaviour::starts_after(8_000));
    // The node of the first new pod that is ready goes.
    let mut gone = false;
    scene.on_each_turn(move |cluster, _| {
        let nine = release(9).image.to_string();
        let pods = cluster.list("pods", "shop");
        let is_new = |pod: &&serde_json::Value| {
            let status = &pod["status"]["containerStatuses"][0];
            pod["spec"]["containers"][0]["image"] == nine.as_str() && status["ready"] == true
        };
        if let Some(pod) = pods.iter().find(is_new).filter(|_| !gone) {
            gone = true;
            cluster.lose_node(pod["spec"]["nodeName"].as_str().unwrap());
        }
    });
    let mut record = scene.record(Strategy::Rolling, Some(1), 9);
    record.deadlines.rollout_sec = 45;
    let outcome = scene.roll(record).await.unwrap();
    let notes = scene.notes.lock().unwrap().clone();
    let stop = outcome.state.stop.clone().unwrap();
    assert_eq!((outcome.end, stop.code.as_str()), (End::Reverted, "DEP-116"), "{}\n{notes:#?}", stop.reason);
    assert!(stop.reason.contains("does not answer"), "{}", stop.reason);
    assert_eq!(scene.image(), release(1).image.to_string());
}
