//! StatefulSets: rolling only, going back past a pod that never gets ready, and
//! comparing by the partition.

use std::sync::{Arc, Mutex};

use plimsoll_model::{Diagnose as _, Strategy};
use plimsoll_rollout_core::machine::{End, Verdict};
use plimsoll_rollout_core::{Canary, Plan, Ports, State, execute};
use plimsoll_rollout_kubernetes::{KubernetesTarget, MetricsAt, Options, SideBySide};
use plimsoll_testkit_cluster::{Behaviour, Cluster};

use crate::comparing::Says;
use crate::scene::{Scene, ready, release};

fn scene() -> Scene {
    let scene = Scene::new();
    let image = release(1).image.to_string();
    let set = format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: books, namespace: shop}}\nspec:\n  replicas: 3\n  \
         serviceName: books\n  selector: {{matchLabels: {{app: books}}}}\n  template:\n    metadata: {{labels: {{app: \
         books}}}}\n    spec:\n      terminationGracePeriodSeconds: 5\n      containers:\n      - {{name: payouts, image: \
         {image:?}}}\n"
    );
    scene.cluster.apply_yaml(&set);
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: books, namespace: shop}\nspec: {selector: {app: \
                   books}, ports: [{port: 80}]}\n";
    scene.cluster.apply_yaml(service);
    scene.cluster.settle_until(120_000, |cluster| ready(cluster) == 6);
    scene
}

fn image(scene: &Scene) -> String {
    let set = scene.cluster.get("statefulsets", "shop", "books");
    set["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
}

fn target(scene: &Scene) -> KubernetesTarget {
    let (workload, service) = ("books".into(), "books".into());
    KubernetesTarget::open(Options { workload, service, ..scene.options() })
}

async fn roll(scene: &Scene) -> plimsoll_rollout_core::Outcome {
    let target = target(scene);
    let refused = target.check(Strategy::BlueGreen, 5).await.unwrap_err();
    assert_eq!(refused.code(), "KUB-011");
    target.check(Strategy::Rolling, 5).await.unwrap();
    let plan = Plan::simulated(scene.record(Strategy::Rolling, Some(1), 9));
    execute(&plan, State::new(), scene.ports(&target)).await.unwrap()
}

#[tokio::test]
async fn a_statefulset_is_rolled_out_pod_by_pod() {
    let scene = scene();
    let outcome = roll(&scene).await;
    assert_eq!(outcome.end, End::Committed, "{:?}\n{:#?}", outcome.state.stop, scene.notes.lock().unwrap());
    assert_eq!(image(&scene), release(9).image.to_string());
    assert_eq!(ready(&scene.cluster), 6);
}

/// It would wait for the broken pod for ever before it takes the old template.
#[tokio::test]
async fn going_back_takes_the_broken_pod_away() {
    let scene = scene();
    scene.cluster.image(&release(9).image.to_string(), Behaviour::exits_after(500, 1));
    let outcome = roll(&scene).await;
    assert_eq!(outcome.end, End::Reverted, "{:#?}", scene.notes.lock().unwrap());
    assert_eq!(outcome.state.incomplete, None, "{:#?}", scene.notes.lock().unwrap());
    assert_eq!(outcome.state.stop.unwrap().code, "DEP-103");
    assert_eq!(image(&scene), release(1).image.to_string());
    assert_eq!(ready(&scene.cluster), 6);
}

/// Pods by number: release, and the uid that tells whether it is still the same.
fn pods(cluster: &Cluster) -> Vec<(u8, String)> {
    let of = |number: usize| {
        let pod = cluster.list("pods", "shop").into_iter().find(|pod| {
            pod["metadata"]["name"] == format!("books-{number}").as_str()
                && pod["metadata"]["deletionTimestamp"].is_null()
        })?;
        let image = pod["spec"]["containers"][0]["image"].as_str()?;
        let n = if image == release(9).image.to_string() { 9 } else { 1 };
        Some((n, pod["metadata"]["uid"].as_str()?.to_owned()))
    };
    (0..3).filter_map(of).collect()
}

/// What the pods ran at each turn at which the partition kept some of them.
type Mixes = Arc<Mutex<Vec<Vec<u8>>>>;

fn watch_partition(scene: &Scene) -> Mixes {
    let mixes = Mixes::default();
    let notes = Arc::clone(&mixes);
    scene.on_each_turn(move |cluster: &Cluster, _| {
        let set = cluster.get("statefulsets", "shop", "books");
        if set["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_i64() > Some(0) {
            notes.lock().unwrap().push(pods(cluster).into_iter().map(|(n, _)| n).collect());
        }
    });
    mixes
}

async fn compared(scene: &Scene, canary: Option<Canary>, verdict: Verdict) -> plimsoll_rollout_core::Outcome {
    let target = target(scene);
    assert_eq!(target.side_by_side().await.unwrap(), SideBySide::InPlace);
    let mut record = scene.record(Strategy::Rolling, Some(1), 9);
    record.deadlines.compare_sec = 20;
    (record.canary, record.in_place) = (canary, true);
    let judge = Says(verdict);
    let ports = Ports { judge: &judge, ..scene.ports(&target) };
    execute(&Plan::simulated(record), State::new(), ports).await.unwrap()
}

#[tokio::test]
async fn its_last_pods_are_compared_with_the_others_before_those_are_replaced() {
    for (canary, mix) in
        [(None, vec![1, 1, 9]), (Some(Canary { permille: 600, by_instances: true }), vec![1, 9, 9])]
    {
        let scene = scene();
        let mixes = watch_partition(&scene);
        let outcome = compared(&scene, canary, Verdict::NoEvidence).await;
        assert_eq!(
            outcome.end,
            End::Committed,
            "{:?}\n{:#?}",
            outcome.state.stop,
            scene.notes.lock().unwrap()
        );
        let mixes = mixes.lock().unwrap();
        assert!(mixes.iter().filter(|seen| **seen == mix).count() > 100, "{mix:?}: {mixes:?}");
        // No other pod than those ran the new release, however long it took.
        let few = |seen: &Vec<u8>| {
            seen.iter().filter(|n| **n == 9).count() <= mix.iter().filter(|n| **n == 9).count()
        };
        assert!(mixes.iter().all(few), "{mixes:?}");
        assert_eq!(pods(&scene.cluster).iter().map(|(n, _)| *n).collect::<Vec<_>>(), [9, 9, 9]);
        let set = scene.cluster.get("statefulsets", "shop", "books");
        assert_eq!(set["spec"]["updateStrategy"]["rollingUpdate"]["partition"], 0);
        assert_eq!(ready(&scene.cluster), 6);
    }
}

#[tokio::test]
async fn what_is_worse_is_taken_back_and_the_other_pods_were_never_touched() {
    let scene = scene();
    let before = pods(&scene.cluster);
    let outcome = compared(&scene, None, Verdict::Regressed("5 times".into())).await;
    assert_eq!(outcome.end, End::Reverted);
    assert_eq!(outcome.state.stop.unwrap().code, "DEP-110");
    assert_eq!(outcome.state.incomplete, None);
    let after = pods(&scene.cluster);
    assert_eq!(after.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!((&after[..2], after[2] == before[2]), (&before[..2], false));
    assert_eq!((image(&scene), ready(&scene.cluster)), (release(1).image.to_string(), 6));
}

/// One that never gets ready never serves beside the others.
#[tokio::test]
async fn a_pod_that_is_not_ready_ends_it_before_anything_is_compared() {
    let scene = scene();
    let before = pods(&scene.cluster);
    scene.cluster.image(&release(9).image.to_string(), Behaviour::exits_after(500, 1));
    let outcome = compared(&scene, None, Verdict::NoEvidence).await;
    assert_eq!(outcome.state.stop.unwrap().code, "DEP-103");
    let after = pods(&scene.cluster);
    assert_eq!((&after[..2], after[2].0), (&before[..2], 1));
}

#[tokio::test]
async fn of_one_pod_only_one_release_can_serve() {
    let scene = scene();
    scene
        .cluster
        .edit_as("kubectl", "statefulsets", "shop", "books", |set| set["spec"]["replicas"] = 1.into());
    assert_eq!(target(&scene).side_by_side().await.unwrap(), SideBySide::Not);
    // Its pods are found for the watch, with what each of them runs.
    let pods = target(&scene).serving_pods(&MetricsAt::default()).await.unwrap();
    assert!(!pods.is_empty() && pods.iter().all(|pod| pod.digest == release(1).digest()), "{pods:?}");
}
