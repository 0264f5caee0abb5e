//! The first manifests: valid for the types, for the scripted server, and for
//! `kubectl`.

use std::io::Write as _;
use std::process::Stdio;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use plimsoll_rollout_kubernetes::manifests;
use plimsoll_testkit::peer;
use plimsoll_testkit_cluster::{Cluster, Settings};
use serde_json::Value;

use crate::scene::{release, settings};

fn documents() -> (String, Vec<Value>) {
    let text = manifests(&settings(&release(1).image.to_string()));
    let documents = text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect();
    (text, documents)
}

/// Everything that is written is a field that the types know, and of its type.
fn is_whole<T: serde::de::DeserializeOwned + serde::Serialize>(document: &Value) {
    let typed: T = serde_json::from_value(document.clone()).unwrap();
    assert_eq!(&serde_json::to_value(typed).unwrap(), document);
}

#[test]
fn every_field_is_one_of_the_api() {
    let (_, documents) = documents();
    assert_eq!(documents.len(), 7);
    for document in &documents {
        match document["kind"].as_str().unwrap() {
            "ServiceAccount" => is_whole::<ServiceAccount>(document),
            "Deployment" => is_whole::<Deployment>(document),
            "Service" => is_whole::<Service>(document),
            "PodDisruptionBudget" => is_whole::<PodDisruptionBudget>(document),
            "Role" => is_whole::<Role>(document),
            "RoleBinding" => is_whole::<RoleBinding>(document),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn kubectl_takes_them() {
    let Some(peers) = peer::require(&["kubectl"]) else { return };
    let cluster = Cluster::start(Settings::default());
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("config");
    std::fs::write(&kubeconfig, cluster.kubeconfig()).unwrap();
    for mode in ["client", "server"] {
        let mut command = peers.command("kubectl");
        command.args(["apply", "-f", "-", "--validate=true"]).arg(format!("--dry-run={mode}"));
        command.env("KUBECONFIG", &kubeconfig).env("HOME", folder.path());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(documents().0.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let (said, wrong) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{mode}: {said}{wrong}");
        assert_eq!(said.lines().count(), 7, "{said}");
    }
}
