//! Creating, changing, applying and deleting over HTTP. The words were
//! compared with those of kube-apiserver 1.36.

use plimsoll_testkit_cluster::{Cluster, Settings};
use serde_json::{Value, json};

use crate::support::{Client, deployment, image, running};

const WEB: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
const ALL: &str = "/apis/apps/v1/namespaces/shop/deployments";

fn small(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}},
    })
}

#[tokio::test]
async fn two_writers_of_one_version_do_not_both_win() {
    let cluster = running();
    let client = Client::new(&cluster);
    let seen = client.get(WEB).await.body;
    cluster.edit_as("kubectl-edit", "deployment", "shop", "web", |web| web["spec"]["replicas"] = 4.into());
    let refused = client.send("PUT", WEB, "application/json", &seen).await;
    assert_eq!(refused.code, 409);
    assert_eq!(
        refused.body["message"],
        "Operation cannot be fulfilled on deployments.apps \"web\": the object has been modified; please apply your \
         changes to the latest version and try again"
    );
    assert_eq!(refused.body["reason"], "Conflict");
    assert_eq!(refused.body["details"], json!({"name": "web", "group": "apps", "kind": "deployments"}));
}

#[tokio::test]
async fn generations_count_what_is_wanted_and_nothing_else() {
    let cluster = running();
    let client = Client::new(&cluster);
    let before = client.get(WEB).await.body;
    assert_eq!(
        (&before["metadata"]["generation"], &before["status"]["observedGeneration"]),
        (&json!(1), &json!(1))
    );
    let merge = "application/merge-patch+json";
    let labelled = client.send("PATCH", WEB, merge, &json!({"metadata": {"labels": {"a": "b"}}})).await.body;
    assert_eq!(labelled["metadata"]["generation"], 1);
    let same = client.send("PATCH", WEB, merge, &json!({"metadata": {"labels": {"a": "b"}}})).await.body;
    assert_eq!(
        same["metadata"]["resourceVersion"], labelled["metadata"]["resourceVersion"],
        "nothing was written"
    );
    let scaled =
        client.send("PATCH", &format!("{WEB}/scale"), merge, &json!({"spec": {"replicas": 4}})).await.body;
    assert_eq!(scaled["kind"], "Scale");
    let after = client.get(WEB).await.body;
    assert_eq!((&after["metadata"]["generation"], &after["spec"]["replicas"]), (&json!(2), &json!(4)));
    // What is asked of the object does not touch its status, nor the reverse.
    let status = json!({"status": {"replicas": 99}, "spec": {"replicas": 77}});
    let unchanged = client.send("PATCH", WEB, merge, &json!({"status": {"replicas": 99}})).await.body;
    assert_ne!(unchanged["status"]["replicas"], 99);
    let other = client.send("PATCH", &format!("{WEB}/status"), merge, &status).await.body;
    assert_eq!((&other["status"]["replicas"], &other["spec"]["replicas"]), (&json!(99), &json!(4)));
}

#[tokio::test]
async fn slow_controllers_show_an_old_status() {
    let cluster = Cluster::start(Settings { controller_delay: 500, ..Settings::default() });
    let client = Client::new(&cluster);
    client.apply(&format!("{WEB}?fieldManager=me"), &deployment(&image('a'))).await;
    assert_eq!(client.get(WEB).await.body["status"]["observedGeneration"], Value::Null);
    cluster.advance(500);
    assert_eq!(client.get(WEB).await.body["status"]["observedGeneration"], 1);
}

#[tokio::test]
async fn an_apply_creates_conflicts_and_is_forced() {
    let cluster = Cluster::start(Settings::default());
    let client = Client::new(&cluster);
    let created = client.apply(&format!("{WEB}?fieldManager=user"), &deployment(&image('a'))).await;
    assert_eq!(created.code, 201);
    let path = format!("{WEB}?fieldManager=plimsoll");
    let refused = client.apply(&path, &small(&image('b'))).await;
    assert_eq!(refused.code, 409);
    assert_eq!(
        refused.body["message"],
        "Apply failed with 1 conflict: conflict with \"user\": .spec.template.spec.containers[name=\"app\"].image"
    );
    let dry = client.apply(&format!("{path}&force=true&dryRun=All"), &small(&image('b'))).await;
    assert_eq!(dry.code, 200);
    assert_eq!(dry.body["spec"]["template"]["spec"]["containers"][0]["image"], image('b'));
    assert_eq!(client.get(WEB).await.body["spec"]["template"]["spec"]["containers"][0]["image"], image('a'));
    let forced = client.apply(&format!("{path}&force=true"), &small(&image('b'))).await;
    assert_eq!(forced.code, 200);
    assert_eq!(forced.body["metadata"]["generation"], 2);
    let again = client.apply(&path, &small(&image('b'))).await;
    assert_eq!(again.code, 200);
    assert_eq!(again.body["metadata"]["generation"], 2);
    let nobody = client.apply(WEB, &small(&image('b'))).await;
    assert_eq!(nobody.code, 422);
    assert!(nobody.text.contains("is required for apply patch"), "{}", nobody.text);
}

#[tokio::test]
async fn refusals_have_the_words_of_the_real_server() {
    let cluster = running();
    let client = Client::new(&cluster);
    let absent = client.get(&format!("{ALL}/other")).await;
    assert_eq!((absent.code, &absent.body["message"]), (404, &json!("deployments.apps \"other\" not found")));
    let there = client.post(ALL, &deployment(&image('a'))).await;
    assert_eq!(
        (there.code, &there.body["message"]),
        (409, &json!("deployments.apps \"web\" already exists"))
    );
    let crd = client.get("/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts").await;
    assert_eq!((crd.code, crd.text.as_str()), (404, "404 page not found\n"));
    let nowhere = client.post("/apis/apps/v1/namespaces/gone/deployments", &small(&image('a'))).await;
    assert_eq!((nowhere.code, &nowhere.body["reason"]), (422, &json!("Invalid")));
    let mut other = deployment(&image('a'));
    other["metadata"] = json!({"name": "other"});
    let nowhere = client.post("/apis/apps/v1/namespaces/gone/deployments", &other).await;
    assert_eq!((nowhere.code, &nowhere.body["message"]), (404, &json!("namespaces \"gone\" not found")));
    other["spec"]["selector"] = json!({"matchLabels": {"app": "else"}});
    let invalid = client.post(ALL, &other).await;
    assert_eq!(
        invalid.body["message"],
        "Deployment.apps \"other\" is invalid: spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: \
         `selector` does not match template `labels`"
    );
    assert_eq!(invalid.body["details"]["causes"][0]["field"], "spec.template.metadata.labels");
    let odd = client.send("PATCH", WEB, "application/xml", &json!({})).await;
    assert_eq!(odd.code, 415);
}

#[tokio::test]
async fn deletes_have_preconditions_finalizers_and_propagation() {
    let cluster = running();
    let client = Client::new(&cluster);
    let wrong = json!({"preconditions": {"uid": "another"}});
    assert_eq!(client.send("DELETE", WEB, "application/json", &wrong).await.code, 409);
    let finalizers = |list: Value| json!({"metadata": {"finalizers": list}});
    client.send("PATCH", WEB, "application/merge-patch+json", &finalizers(json!(["test/keep"]))).await;
    let leaving =
        client.send("DELETE", WEB, "application/json", &json!({"propagationPolicy": "Foreground"})).await;
    assert!(leaving.body["metadata"]["deletionTimestamp"].is_string(), "{}", leaving.text);
    cluster.advance(31_000);
    assert_eq!(cluster.list("pods", "shop").len(), 0);
    let kept = client.get(WEB).await.body;
    assert_eq!(kept["metadata"]["finalizers"], json!(["test/keep"]));
    client.send("PATCH", WEB, "application/merge-patch+json", &finalizers(json!(null))).await;
    assert_eq!(client.get(WEB).await.code, 404);
}

#[tokio::test]
async fn an_orphan_outlives_its_owner() {
    let cluster = running();
    let client = Client::new(&cluster);
    client.send("DELETE", WEB, "application/json", &json!({"propagationPolicy": "Orphan"})).await;
    cluster.advance(60_000);
    assert_eq!(client.get(WEB).await.code, 404);
    assert_eq!(cluster.list("replicasets", "shop").len(), 1);
    assert_eq!(cluster.list("pods", "shop").len(), 3);
}

#[tokio::test]
async fn a_budget_refuses_an_eviction() {
    let cluster = running();
    let client = Client::new(&cluster);
    cluster.apply_json(json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}},
    }));
    assert_eq!(cluster.get("pdb", "shop", "web")["status"]["disruptionsAllowed"], 1);
    let evict = async |index: usize| {
        let pods = cluster.pods("shop", "app", "web");
        let name = pods[index]["metadata"]["name"].as_str().expect("it has one");
        let body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
        client.post(&format!("/api/v1/namespaces/shop/pods/{name}/eviction"), &body).await
    };
    assert_eq!(evict(0).await.code, 201);
    let refused = evict(1).await;
    assert_eq!(refused.code, 429);
    assert_eq!(refused.body["message"], "Cannot evict pod as it would violate the pod's disruption budget.");
    assert_eq!(
        refused.body["details"]["causes"][0]["message"],
        "The disruption budget web needs 2 healthy pods and has 2 currently"
    );
    assert_eq!(refused.retry_after.as_deref(), Some("10"));
}

#[tokio::test]
async fn logs_are_of_this_run_or_the_one_before() {
    let cluster = Cluster::start(Settings::default());
    let behaviour =
        plimsoll_testkit_cluster::Behaviour::exits_after(1_000, 1).with_log(&["one", "two", "three"]);
    cluster.image(&image('a'), behaviour);
    let mut web = deployment(&image('a'));
    web["spec"]["replicas"] = 1.into();
    cluster.apply_json(web);
    let client = Client::new(&cluster);
    let name =
        cluster.pods("shop", "app", "web")[0]["metadata"]["name"].as_str().expect("it has one").to_owned();
    let log =
        async |query: &str| client.get(&format!("/api/v1/namespaces/shop/pods/{name}/log{query}")).await;
    let waiting = log("").await;
    assert_eq!(waiting.code, 400);
    assert_eq!(
        waiting.body["message"],
        format!("container \"app\" in pod {name:?} is waiting to start: ContainerCreating")
    );
    assert_eq!(
        log("?previous=true").await.body["message"],
        format!("previous terminated container \"app\" in pod {name:?} not found")
    );
    cluster.advance(3_000);
    assert_eq!(log("?tailLines=2").await.text, "two\nthree\n");
    assert_eq!(log("?previous=true&container=app").await.text, "one\ntwo\nthree\n");
    assert_eq!(log("?container=other").await.code, 400);
}
