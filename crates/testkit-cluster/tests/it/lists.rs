//! Lists, pages and discovery.

use plimsoll_testkit_cluster::{Cluster, Settings};
use serde_json::json;

use crate::support::{Client, running};

const MAPS: &str = "/api/v1/namespaces/shop/configmaps";

fn many() -> Cluster {
    let cluster = Cluster::start(Settings::default());
    for number in 0..7 {
        cluster.apply_json(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("m{number}"), "namespace": "shop", "labels": {"odd": (number % 2 == 1).to_string()}},
        }));
    }
    cluster
}

fn names(list: &serde_json::Value) -> Vec<String> {
    let items = list["items"].as_array().into_iter().flatten();
    items.map(|item| item["metadata"]["name"].as_str().expect("it has one").to_owned()).collect()
}

#[tokio::test]
async fn pages_are_of_one_moment() {
    let cluster = many();
    let client = Client::new(&cluster);
    let first = client.get(&format!("{MAPS}?limit=3")).await.body;
    assert_eq!(names(&first), ["m0", "m1", "m2"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 4);
    cluster.delete("configmap", "shop", "m4").expect("it is there");
    let token = first["metadata"]["continue"].as_str().expect("there is more").to_owned();
    let second = client.get(&format!("{MAPS}?limit=3&continue={token}")).await.body;
    assert_eq!(names(&second), ["m3", "m4", "m5"]);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    cluster.compact();
    let gone = client.get(&format!("{MAPS}?limit=3&continue={token}")).await;
    assert_eq!((gone.code, &gone.body["reason"]), (410, &json!("Expired")));
    let bad = client.get(&format!("{MAPS}?continue=nonsense")).await;
    assert_eq!(bad.code, 400);
}

#[tokio::test]
async fn selectors_and_versions() {
    let cluster = many();
    let client = Client::new(&cluster);
    assert_eq!(
        names(&client.get(&format!("{MAPS}?labelSelector=odd%3Dtrue")).await.body),
        ["m1", "m3", "m5"]
    );
    assert_eq!(names(&client.get(&format!("{MAPS}?fieldSelector=metadata.name%3Dm2")).await.body), ["m2"]);
    assert_eq!(client.get(&format!("{MAPS}?resourceVersion=abc")).await.code, 400);
    let ahead = client.get(&format!("{MAPS}?resourceVersion=99999")).await;
    assert_eq!(ahead.code, 504);
    assert!(ahead.text.contains("Too large resource version: 99999"), "{}", ahead.text);
    let then = cluster.revision();
    cluster.delete("configmap", "shop", "m0").expect("it is there");
    let exact = client.get(&format!("{MAPS}?resourceVersion={then}&resourceVersionMatch=Exact")).await.body;
    assert_eq!(names(&exact).len(), 7);
    // A cache that lags answers reads that allow it, and no others.
    cluster.stale_reads(1);
    assert_eq!(names(&client.get(&format!("{MAPS}?resourceVersion=0")).await.body).len(), 7);
    assert_eq!(names(&client.get(MAPS).await.body).len(), 6);
}

#[tokio::test]
async fn what_is_served_can_be_found() {
    let cluster = running();
    let client = Client::new(&cluster);
    assert_eq!(client.get("/version").await.body["minor"], "36");
    assert_eq!(client.get("/readyz").await.text, "ok");
    let groups = client.get("/apis").await.body;
    let groups: Vec<_> =
        groups["groups"].as_array().into_iter().flatten().map(|group| group["name"].clone()).collect();
    assert!(groups.contains(&json!("apps")) && groups.contains(&json!("policy")), "{groups:?}");
    let apps = client.get("/apis/apps/v1").await.body;
    assert!(apps["resources"].to_string().contains("deployments/scale"));
    assert_eq!(client.get("/apis/argoproj.io/v1alpha1").await.code, 404);
    for event in client.get("/apis/events.k8s.io/v1/namespaces/shop/events").await.body["items"]
        .as_array()
        .expect("a list")
    {
        assert_eq!(event["apiVersion"], "events.k8s.io/v1");
        assert!(event["note"].is_string() && event["regarding"]["name"].is_string(), "{event}");
    }
}
