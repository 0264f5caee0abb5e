//! What runs against what the ledger says, and whom the Service sends requests to
//! (DEP-8).

use std::sync::Arc;

use jiff::Timestamp;
use plimsoll_model::{Digest, Release, Strategy};
use plimsoll_rollout_core::machine::End;
use plimsoll_rollout_kubernetes::{Astray, Drift, DriftFacts, Moving, Recorded};
use plimsoll_testkit_cluster::{Behaviour, Cluster};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::scene::{Scene, release};

fn earlier() -> [Digest; 1] {
    [release(1).digest()]
}

/// What should run is release 9, and it was rolled out over release 1.
async fn facts(scene: &Scene) -> DriftFacts {
    let (nine, earlier) = (release(9), earlier());
    let recorded = Recorded { current: Some(&nine), earlier: &earlier, rollout: None };
    scene.target().drift(&recorded).await.unwrap()
}

async fn rolled_out() -> Scene {
    let scene = Scene::new();
    let outcome = scene.roll(scene.record(Strategy::Rolling, Some(1), 9)).await.unwrap();
    assert_eq!(outcome.end, End::Committed);
    scene.cluster.advance(60_000);
    scene
}

fn set_image(object: &mut Value, release: &Release) {
    object["spec"]["template"]["spec"]["containers"][0]["image"] = json!(release.image.to_string());
}

#[tokio::test]
async fn drift_is_told_with_who_and_when() {
    let scene = rolled_out().await;
    let seen = facts(&scene).await;
    assert_eq!((&seen.drift[..], &seen.of_rollout[..]), (&[][..], &[][..]), "{seen:#?}");
    assert_eq!(seen.pods.len(), 3);
    assert!(seen.pods.iter().all(|pod| pod.serving && pod.told == Some(release(9).digest())));

    scene.cluster.edit_as("kubectl-set", "deployments", "shop", "payouts", |object| {
        set_image(object, &release(1));
    });
    scene.cluster.advance(60_000);
    let seen = facts(&scene).await;
    let Some(Drift::ChangedByHand { by, at, found, .. }) = seen.drift.first() else { panic!("{seen:#?}") };
    assert_eq!(
        (by.as_deref(), at.is_some(), found),
        (Some("kubectl-set"), true, &release(1).image.to_string())
    );
    let older = seen.drift.iter().filter(|drift| matches!(drift, Drift::Older { .. })).count();
    assert_eq!(older, 3);
    assert!(seen.drift.contains(&Drift::Missing { expected: 3, found: 0 }));
    // The requests go to them, too.
    let elsewhere =
        seen.drift.iter().any(|drift| matches!(drift, Drift::Service { way: Astray::Elsewhere, .. }));
    assert!(elsewhere, "{seen:#?}");
}

type Of = (Astray, String, String, Option<String>, Option<Timestamp>);

/// What is said of the Service, and everything else.
fn of_service(facts: &DriftFacts) -> (Vec<Of>, Vec<&Drift>) {
    let (mut service, mut others) = (Vec::new(), Vec::new());
    for drift in &facts.drift {
        match drift {
            Drift::Service { service: name, way, expected, found, by, at } => {
                assert_eq!(name, "payouts");
                service.push((*way, expected.clone(), found.clone(), by.clone(), *at));
            }
            other => others.push(other),
        }
    }
    (service, others)
}

fn select(scene: &Scene, selector: Value) {
    scene.cluster.edit_as("kubectl-edit", "services", "shop", "payouts", |object| {
        object["spec"]["selector"] = selector;
    });
    scene.cluster.advance(60_000);
}

#[tokio::test]
async fn a_service_that_selects_nothing_is_drift() {
    let scene = rolled_out().await;
    let before = scene.cluster.get("services", "shop", "payouts")["spec"]["selector"].clone();
    select(&scene, json!({ "app": "payoutz" }));
    let seen = facts(&scene).await;
    let (service, others) = of_service(&seen);
    let [(way, expected, found, by, at)] = &service[..] else { panic!("{seen:#?}") };
    assert_eq!(
        (*way, found.as_str(), by.as_deref()),
        (Astray::Selector, "app=payoutz", Some("kubectl-edit"))
    );
    assert!(expected.contains("app.kubernetes.io/name=payouts") && at.is_some(), "{seen:#?}");
    assert_eq!(others, Vec::<&Drift>::new());
    select(&scene, before);
    assert_eq!(facts(&scene).await.drift, []);
}

/// Another application in the same namespace gets the requests.
#[tokio::test]
async fn a_service_that_selects_the_pods_of_somebody_else_is_drift_with_their_names() {
    let scene = rolled_out().await;
    let image = release(3).image.to_string();
    scene.cluster.apply_yaml(&format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, namespace: shop}}\nspec:\n  replicas: 2\n  \
         selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      \
         containers:\n      - {{name: web, image: {image:?}}}\n"
    ));
    scene.cluster.advance(60_000);
    assert_eq!(facts(&scene).await.drift, [], "what the Service does not select is nobody's business");
    select(&scene, json!({ "app": "web" }));
    let seen = facts(&scene).await;
    let (service, others) = of_service(&seen);
    assert_eq!((service.len(), service[0].0), (1, Astray::Selector), "{seen:#?}");
    assert_eq!(others.len(), 2, "{seen:#?}");
    for other in others {
        let Drift::Extra { pod, image: runs, made_by } = other else { panic!("{seen:#?}") };
        assert!(pod.starts_with("web-") && *runs == image, "{seen:#?}");
        assert!(made_by.as_ref().is_some_and(|owner| owner.starts_with("ReplicaSet web-")), "{seen:#?}");
    }
}

#[tokio::test]
async fn a_service_without_a_ready_pod_and_none_at_all_are_drift() {
    let scene = rolled_out().await;
    scene.cluster.edit_as("kubectl-scale", "deployments", "shop", "payouts", |object| {
        object["spec"]["replicas"] = json!(0);
    });
    scene.cluster.advance(60_000);
    let seen = facts(&scene).await;
    let (service, others) = of_service(&seen);
    let [(way, expected, found, by, at)] = &service[..] else { panic!("{seen:#?}") };
    assert_eq!((*way, found.as_str(), by.as_deref()), (Astray::Nobody, "to nobody", Some("kubectl-scale")));
    assert_eq!((expected, at.is_some()), (&release(9).digest().to_string(), true));
    assert_eq!(others, Vec::<&Drift>::new(), "none is missing, since none should be there");

    scene.cluster.delete("services", "shop", "payouts").unwrap();
    let seen = facts(&scene).await;
    assert_eq!(of_service(&seen).0[0].0, Astray::Gone, "{seen:#?}");
}

/// A rollout that a process left in the middle, once `until` holds.
async fn interrupted(strategy: Strategy, until: fn(&Cluster) -> bool) -> Scene {
    let scene = Scene::new();
    let there = Arc::new(Notify::new());
    let told = Arc::clone(&there);
    scene.on_each_turn(move |cluster, _| {
        if until(cluster) {
            told.notify_one();
        }
    });
    tokio::select! {
        biased;
        () = there.notified() => {}
        outcome = scene.roll(scene.record(strategy, Some(1), 9)) => panic!("it ended: {outcome:?}"),
    }
    *scene.each_turn.lock().unwrap() = None;
    scene
}

/// Ready pods of a release.
fn pods(cluster: &Cluster, n: u8) -> usize {
    let image = release(n).image.to_string();
    let is = |pod: &&Value| pod["spec"]["containers"][0]["image"] == image.as_str();
    cluster.list("pods", "shop").iter().filter(is).count()
}

/// While its migrations run, say.
#[tokio::test]
async fn what_was_there_before_the_first_rollout_is_no_drift_before_its_first_write() {
    let (scene, nine) = (Scene::new(), release(9));
    let moving = Moving { to: &nine, max_unavailable: 1 };
    let recorded = Recorded { current: None, earlier: &[], rollout: Some(moving) };
    let seen = scene.target().drift(&recorded).await.unwrap();
    assert_eq!((&seen.drift[..], &seen.of_rollout[..]), (&[][..], &[][..]), "{seen:#?}");
}

#[tokio::test]
async fn pods_of_a_rollout_on_its_way_are_its_own_and_no_drift() {
    for strategy in [Strategy::Rolling, Strategy::BlueGreen] {
        let scene = interrupted(strategy, |cluster| pods(cluster, 1) > 0 && pods(cluster, 9) > 0).await;
        let (one, nine) = (release(1), release(9));
        let moving = Moving { to: &nine, max_unavailable: 1 };
        let recorded = Recorded { current: Some(&one), earlier: &[], rollout: Some(moving) };
        let target = scene.target();
        let seen = target.drift(&recorded).await.unwrap();
        assert_eq!(seen.drift, [], "{strategy}: {seen:#?}");
        let new = seen.of_rollout.iter().filter(|of| of.object.starts_with("pod ")).count();
        assert!(new > 0 && seen.of_rollout.iter().all(|of| of.image == nine.image.to_string()), "{seen:#?}");
        // Without the rollout, it would be.
        let alone = Recorded { rollout: None, ..recorded };
        assert!(!target.drift(&alone).await.unwrap().drift.is_empty(), "{strategy}");
        // The first rollout of all goes over what was there before.
        let first = Recorded { current: None, ..recorded };
        assert_eq!(target.drift(&first).await.unwrap().drift, [], "{strategy}");

        // What neither of them explains still is.
        scene.cluster.image(&release(5).image.to_string(), Behaviour::starts_after(2_000));
        scene.cluster.edit_as("kubectl-set", "deployments", "shop", "payouts", |object| {
            set_image(object, &release(5));
        });
        scene.cluster.advance(60_000);
        let seen = scene.target().drift(&recorded).await.unwrap();
        let by_hand = seen.drift.iter().any(|drift| {
            matches!(drift, Drift::ChangedByHand { by, found, .. }
                if by.as_deref() == Some("kubectl-set") && *found == release(5).image.to_string())
        });
        let extra = seen.drift.iter().filter(|drift| matches!(drift, Drift::Extra { .. })).count();
        assert!(by_hand && extra > 0, "{strategy}: {seen:#?}");
    }
}
