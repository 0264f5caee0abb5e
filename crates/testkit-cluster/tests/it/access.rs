//! Who may do what.

use plimsoll_testkit_cluster::{Cluster, Forbid, Settings};
use serde_json::json;

use crate::support::{Client, running};

const WEB: &str = "/apis/apps/v1/namespaces/shop/deployments/web";

fn with_roles() -> Cluster {
    let cluster = running();
    cluster.apply_yaml(
        r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: deployer, namespace: shop}
rules:
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: deployer, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: deployer}
subjects:
- {kind: ServiceAccount, name: deployer}
"#,
    );
    cluster.add_user("deployer-token", "system:serviceaccount:shop:deployer", &[]);
    cluster
}

#[tokio::test]
async fn roles_decide_and_the_refusal_says_on_what() {
    let cluster = with_roles();
    let client = Client::new(&cluster).with_token("deployer-token");
    assert_eq!(client.get(WEB).await.code, 200);
    let refused = client.get("/api/v1/namespaces/shop/pods").await;
    assert_eq!(refused.code, 403);
    assert_eq!(
        refused.body["message"],
        "pods is forbidden: User \"system:serviceaccount:shop:deployer\" cannot list resource \"pods\" in API group \
         \"\" in the namespace \"shop\""
    );
    let scale =
        client.send("PATCH", &format!("{WEB}/scale"), "application/merge-patch+json", &json!({})).await;
    assert!(
        scale.text.contains("cannot patch resource \\\"deployments/scale\\\" in API group \\\"apps\\\""),
        "{}",
        scale.text
    );
    let nodes = client.get("/api/v1/nodes").await;
    assert!(nodes.text.contains("at the cluster scope"), "{}", nodes.text);
    let ask = |verb: &str| {
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes":
            {"verb": verb, "group": "apps", "resource": "deployments", "namespace": "shop"}}})
    };
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    assert_eq!(client.post(path, &ask("patch")).await.body["status"]["allowed"], true);
    assert_eq!(client.post(path, &ask("delete")).await.body["status"]["allowed"], false);
}

#[tokio::test]
async fn a_script_refuses_what_it_names() {
    let cluster = running();
    let client = Client::new(&cluster);
    cluster.forbid(Forbid { verb: "patch".into(), resource: "deployments".into(), ..Forbid::default() });
    let patch = json!({"metadata": {"labels": {"a": "b"}}});
    assert_eq!(client.send("PATCH", WEB, "application/merge-patch+json", &patch).await.code, 403);
    assert_eq!(client.get(WEB).await.code, 200);
    cluster.allow_all();
    assert_eq!(client.send("PATCH", WEB, "application/merge-patch+json", &patch).await.code, 200);
}

#[tokio::test]
async fn tokens_are_unknown_or_expire() {
    let cluster = Cluster::start(Settings { authentication: true, ..Settings::default() });
    cluster.add_user("good", "jane", &["system:masters"]);
    let path = "/api/v1/namespaces";
    assert_eq!(Client::new(&cluster).get(path).await.code, 401);
    assert_eq!(Client::new(&cluster).with_token("bad").get(path).await.code, 401);
    let jane = Client::new(&cluster).with_token("good");
    assert_eq!(jane.get(path).await.code, 200);
    cluster.expire_token("good");
    let expired = jane.get(path).await;
    assert_eq!((expired.code, &expired.body["message"]), (401, &json!("Unauthorized")));
    assert_eq!(cluster.requests().last().map(|seen| seen.code), Some(401));
}

#[tokio::test]
async fn over_tls_with_the_authority_that_it_names() {
    let cluster = Cluster::start(Settings { tls: true, ..Settings::default() });
    let pem = cluster.authority().expect("it has one").to_owned();
    let authority = reqwest::Certificate::from_pem(pem.as_bytes()).expect("it is a certificate");
    let client =
        reqwest::Client::builder().tls_certs_only([authority]).build().expect("a client can be built");
    let answer = client.get(format!("{}/version", cluster.url())).send().await.expect("it is trusted");
    assert_eq!(answer.status(), 200);
    assert!(cluster.kubeconfig().contains("certificate-authority-data: "));
    let stranger = reqwest::Client::new().get(format!("{}/version", cluster.url())).send().await;
    assert!(stranger.is_err());
}
