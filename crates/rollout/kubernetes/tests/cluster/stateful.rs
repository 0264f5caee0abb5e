//! StatefulSets: rolling only, and going back past a pod that never gets ready.

use plimsoll_model::{Diagnose as _, Strategy};
use plimsoll_rollout_core::machine::End;
use plimsoll_testkit_cluster::Behaviour;

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

async fn roll(scene: &Scene) -> plimsoll_rollout_core::Outcome {
    let options = plimsoll_rollout_kubernetes::Options {
        workload: "books".into(),
        service: "books".into(),
        ..scene.options()
    };
    let target = plimsoll_rollout_kubernetes::KubernetesTarget::open(options);
    let refused = target.check(Strategy::BlueGreen, 5).await.unwrap_err();
    assert_eq!(refused.code(), "KUB-011");
    target.check(Strategy::Rolling, 5).await.unwrap();
    let plan = plimsoll_rollout_core::Plan::simulated(scene.record(Strategy::Rolling, Some(1), 9));
    plimsoll_rollout_core::execute(&plan, plimsoll_rollout_core::State::new(), scene.ports(&target))
        .await
        .unwrap()
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
