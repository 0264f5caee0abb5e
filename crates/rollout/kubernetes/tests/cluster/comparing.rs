//! Both releases side by side, so that the watch can compare them (DEP-6): the
//! old one whole, no request lost, and nothing left of it afterwards.

use std::sync::{Arc, Mutex};

use plimsoll_health::{InsufficientData, Then};
use plimsoll_model::Strategy;
use plimsoll_model::event::RolloutOutcome;
use plimsoll_rollout_core::machine::{End, Verdict};
use plimsoll_rollout_core::{BoxFuture, Judge, Outcome, Plan, PlanRecord, Ports, State, execute};
use plimsoll_rollout_kubernetes::MetricsAt;
use plimsoll_testkit_cluster::{Behaviour, Cluster, Settings};
use serde_json::Value;

use crate::scene::{Scene, ready, release};

const EVERY: u64 = 20;

/// Says the same at every look.
pub(crate) struct Says(pub(crate) Verdict);

impl Judge for Says {
    fn judge<'a>(&'a self, _: &'a Plan, _: u32, _: bool) -> BoxFuture<'a, Verdict> {
        Box::pin(std::future::ready(self.0.clone()))
    }
}

fn scene() -> Scene {
    let scene = Scene::with(Settings { endpoint_delay: 1_000, ..Settings::default() });
    scene.cluster.advance(5_000);
    scene
}

fn compared(scene: &Scene, strategy: Strategy) -> PlanRecord {
    let mut record = scene.record(strategy, Some(1), 9);
    record.deadlines.compare_sec = 20;
    record
}

async fn roll(scene: &Scene, record: PlanRecord, verdict: Verdict) -> Outcome {
    scene.fence.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    let target = scene.target();
    let judge = Says(verdict);
    let ports = Ports { judge: &judge, ..scene.ports(&target) };
    execute(&Plan::simulated(record), State::new(), ports).await.unwrap()
}

/// Pods of each release that are ready, at every turn at which both serve.
type Seen = Arc<Mutex<Vec<(usize, usize)>>>;

fn watch_pods(scene: &Scene) -> Seen {
    let seen = Seen::default();
    let notes = Arc::clone(&seen);
    let (old, new) = (release(1).image.to_string(), release(9).image.to_string());
    scene.on_each_turn(move |cluster: &Cluster, _| {
        let home = cluster.get("deployments", "shop", "payouts");
        let untouched = home["spec"]["template"]["spec"]["containers"][0]["image"] == old.as_str();
        let count = |image: &str| {
            let is = |pod: &&Value| pod["spec"]["containers"][0]["image"] == image;
            let ready = |pod: &Value| {
                let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
                conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
            };
            cluster.list("pods", "shop").iter().filter(is).filter(|pod| ready(pod)).count()
        };
        if untouched && count(&new) > 0 {
            notes.lock().unwrap().push((count(&old), count(&new)));
        }
    });
    seen
}

#[tokio::test]
async fn the_old_release_stays_whole_while_a_few_pods_of_the_new_one_serve() {
    for (strategy, most) in [(Strategy::Rolling, 1), (Strategy::BlueGreen, 3)] {
        let scene = scene();
        let service = scene.cluster.get("services", "shop", "payouts")["spec"].clone();
        let (seen, load) = (watch_pods(&scene), scene.cluster.begin_load("shop", "payouts", EVERY));
        let outcome = roll(&scene, compared(&scene, strategy), Verdict::NoEvidence).await;
        assert_eq!(
            outcome.end,
            End::Committed,
            "{:?}\n{:#?}",
            outcome.state.stop,
            scene.notes.lock().unwrap()
        );
        assert_eq!(outcome.state.incomplete, None);
        scene.cluster.advance(20_000);
        let seen = seen.lock().unwrap();
        assert!(seen.iter().all(|(old, _)| *old == 3), "{strategy}: {seen:?}");
        assert_eq!(seen.iter().map(|(_, new)| *new).max(), Some(most), "{strategy}");
        // Twenty seconds of requests went to both, by the number of their pods.
        let load = scene.cluster.load(load);
        assert_eq!(load.failed, 0, "{strategy}: {:?}", load.failures);
        // Nothing is left, and what is the user's is as it was.
        assert_eq!((scene.image(), ready(&scene.cluster)), (release(9).image.to_string(), 3));
        assert_eq!(scene.cluster.list("deployments", "shop").len(), 1);
        assert_eq!(scene.cluster.list("services", "shop").len(), 1);
        assert_eq!(scene.cluster.get("services", "shop", "payouts")["spec"], service);
    }
}

#[tokio::test]
async fn what_is_worse_is_taken_away_and_the_old_release_was_never_touched() {
    for strategy in [Strategy::Rolling, Strategy::BlueGreen] {
        let scene = scene();
        let service = scene.cluster.get("services", "shop", "payouts")["spec"].clone();
        let pods = |scene: &Scene| -> Vec<String> {
            let list = scene.cluster.list("pods", "shop");
            list.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
        };
        let before = pods(&scene);
        let load = scene.cluster.begin_load("shop", "payouts", EVERY);
        let outcome = roll(&scene, compared(&scene, strategy), Verdict::Regressed("5 times".into())).await;
        assert_eq!(outcome.end, End::Reverted, "{strategy}");
        let plan = Plan::simulated(compared(&scene, strategy));
        assert_eq!(outcome.state.outcome(&plan), Some(RolloutOutcome::RolledBack), "{:?}", outcome.state);
        scene.cluster.advance(20_000);
        assert_eq!(scene.cluster.load(load).failed, 0, "{strategy}: {:?}", scene.cluster.load(load).failures);
        assert_eq!(scene.image(), release(1).image.to_string());
        assert_eq!(pods(&scene), before, "{strategy}: the same pods as ever");
        assert_eq!(scene.cluster.list("deployments", "shop").len(), 1);
        assert_eq!(scene.cluster.get("services", "shop", "payouts")["spec"], service);
    }
}

#[tokio::test]
async fn what_is_held_stays_and_is_gone_on_with_or_undone() {
    for strategy in [Strategy::Rolling, Strategy::BlueGreen] {
        for promoted in [true, false] {
            let scene = scene();
            let mut record = compared(&scene, strategy);
            record.insufficient_data = InsufficientData { wait_sec: 0, then: Then::Hold };
            let verdict = Verdict::InsufficientData("12 requests".into());
            let held = roll(&scene, record.clone(), verdict).await;
            assert!(matches!(held.end, End::Held(_)), "{:?}", held.end);
            scene.cluster.advance(60_000);
            let beside = if strategy == Strategy::Rolling { 1 } else { 3 };
            assert_eq!(ready(&scene.cluster), 3 + beside, "{strategy}");
            scene.fence.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let target = scene.target();
            let undo = std::sync::atomic::AtomicBool::new(!promoted);
            let ports = Ports { interrupt: &undo, ..scene.ports(&target) };
            let state = if promoted { held.state.promoted("looked") } else { held.state };
            let ended = execute(&Plan::simulated(record), state, ports).await.unwrap();
            let (end, n) = if promoted { (End::Committed, 9) } else { (End::Reverted, 1) };
            assert_eq!(ended.end, end, "{strategy}");
            scene.cluster.advance(20_000);
            assert_eq!((scene.image(), ready(&scene.cluster)), (release(n).image.to_string(), 3));
            assert_eq!(scene.cluster.list("deployments", "shop").len(), 1);
        }
    }
}

#[tokio::test]
async fn pods_are_asked_through_the_api_server() {
    let scene = scene();
    let answer = Behaviour::starts_after(1_000).serving(|path| (200, format!("asked {path}")));
    scene.cluster.image(&release(1).image.to_string(), answer);
    let target = scene.target();
    let pods = target.serving_pods(&MetricsAt::default()).await.unwrap();
    assert_eq!(pods.len(), 3);
    assert!(pods.iter().all(|pod| pod.digest == release(1).digest()), "{pods:?}");
    assert!(pods[0].metrics.as_ref().unwrap().ends_with(":8080/metrics"), "{pods:?}");
    let text = target.ask_pod(&pods[0].name, 8080, "/metrics").await.unwrap();
    assert_eq!(text, "asked /metrics");
    // Who may not is told the rule.
    scene.cluster.forbid(plimsoll_testkit_cluster::Forbid {
        resource: "pods/proxy".into(),
        ..plimsoll_testkit_cluster::Forbid::default()
    });
    let refused = target.ask_pod(&pods[0].name, 8080, "/metrics").await.unwrap_err();
    assert!(refused.in_full().contains("pods/proxy"), "{}", refused.in_full());
}
