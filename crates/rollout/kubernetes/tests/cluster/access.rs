//! What is missing, does not fit, or is not allowed: before anything moves.

use plimsoll_model::{Diagnose as _, Strategy};
use plimsoll_rollout_core::machine::End;
use plimsoll_rollout_kubernetes::{KubernetesTarget, Options};
use plimsoll_testkit_cluster::{Fault, Settings};
use serde_json::json;

use crate::scene::Scene;

async fn refused(scene: &Scene, change: impl FnOnce(&mut Options)) -> (String, String) {
    let mut options = scene.options();
    change(&mut options);
    let error = KubernetesTarget::open(options).check(Strategy::Rolling, 10).await.unwrap_err();
    (error.code().to_owned(), format!("{error}; {:?}; {:?}", error.expected(), error.hint()))
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let scene = Scene::new();
    let warnings = scene.target().check(Strategy::BlueGreen, 10).await.unwrap();
    assert_eq!(warnings, Vec::<String>::new(), "the first manifests give no cause for any");
    let (code, said) = refused(&scene, |options| options.workload = "payout".into()).await;
    assert_eq!(code, "KUB-007", "{said}");
    let (code, said) = refused(&scene, |options| options.container = "web".into()).await;
    assert_eq!(code, "KUB-008");
    assert!(said.contains("one of payouts"), "{said}");
    let (code, _) = refused(&scene, |options| options.service = "web".into()).await;
    assert_eq!(code, "KUB-009");
    let (code, said) = refused(&scene, |options| options.context = Some("prod".into())).await;
    assert_eq!(code, "KUB-002");
    assert!(said.contains("one of test"), "{said}");
    let (code, _) = refused(&scene, |options| options.kubeconfig = Some("/no/such/config".into())).await;
    assert_eq!(code, "KUB-001");
    scene.cluster.edit_as("kubectl-edit", "services", "shop", "payouts", |object| {
        object["spec"]["selector"] = json!({ "app": "payoutz" });
    });
    let (code, said) = refused(&scene, |_| {}).await;
    assert_eq!(code, "KUB-010");
    assert!(said.contains("app.kubernetes.io/name=payouts"), "{said}");
}

/// The Role of the first manifests allows everything, and each rule is needed.
#[tokio::test]
async fn the_role_is_enough_and_what_is_not_allowed_is_named() {
    let scene = Scene::with(Settings { authentication: true, ..Settings::default() });
    let user = "system:serviceaccount:shop:payouts-plimsoll";
    scene.cluster.add_user("token", user, &["system:serviceaccounts", "system:authenticated"]);
    std::fs::write(&scene.kubeconfig, scene.cluster.kubeconfig_for("token")).unwrap();
    let outcome = scene.roll(scene.record(Strategy::BlueGreen, Some(1), 9)).await.unwrap();
    assert_eq!(outcome.end, End::Committed, "{:?}", outcome.state.stop);

    scene.cluster.edit_as("kubectl-edit", "roles", "shop", "payouts-plimsoll", |role| {
        for rule in role["rules"].as_array_mut().unwrap() {
            if rule["resources"] == json!(["deployments"]) {
                rule["verbs"] = json!(["get", "list", "watch"]);
            }
        }
    });
    let rule = "{apiGroups: [\"apps\"], resources: [\"deployments\"], verbs: [\"patch\"]}";
    let (code, said) = refused(&scene, |_| {}).await;
    assert_eq!(code, "KUB-006", "before anything was touched");
    assert!(
        said.contains("not allowed: patch deployments") && said.contains("resources: [\\\"deployments"),
        "{said}"
    );
    let mut record = scene.record(Strategy::Rolling, Some(9), 8);
    record.deadlines.rollout_sec = 5;
    let stop = scene.roll(record).await.unwrap().state.stop.unwrap();
    assert_eq!(stop.code, "DEP-112");
    let named = stop.reason.contains("not allowed: patch deployments payouts") && stop.reason.contains(rule);
    assert!(named, "{}", stop.reason);
}

/// Not each in a handshake of its own.
#[tokio::test]
async fn rules_are_asked_about_a_few_at_a_time() {
    let scene = Scene::new();
    let reviews = "/selfsubjectaccessreviews";
    scene.cluster.fault("POST", reviews).times(100).then(Fault::Stall);
    let target = scene.target();
    let answering = async {
        scene.cluster.until_stalled(6).await;
        // What else was on its way has arrived by the time of another's answer.
        assert_eq!(scene.target().replicas().await.unwrap(), 3);
        assert_eq!(scene.cluster.count("POST", reviews), 6);
        scene.cluster.heal();
    };
    let (checked, ()) = tokio::join!(target.check(Strategy::BlueGreen, 10), answering);
    checked.unwrap();
    assert!(scene.cluster.count("POST", reviews) > 12, "every rule was asked about");
}
