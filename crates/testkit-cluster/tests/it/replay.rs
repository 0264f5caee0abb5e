//! Random histories: whoever watches knows in the end what a list tells.

use std::collections::BTreeMap;

use plimsoll_testkit_cluster::{Behaviour, Cluster, Settings};
use serde_json::{Value, json};

use crate::support::{Client, Stream, deployment, image};

/// Objects by name, as `(version, whole)`.
type Known = BTreeMap<String, Value>;

fn note(known: &mut Known, event: &Value) {
    let object = event["object"].clone();
    let name = object["metadata"]["name"].as_str().expect("it has one").to_owned();
    match event["type"].as_str() {
        Some("DELETED") => assert!(known.remove(&name).is_some(), "{name} was deleted twice"),
        Some("ADDED") => assert!(known.insert(name, object).is_none(), "it was added twice"),
        Some("MODIFIED") => {
            let before = known.insert(name, object.clone()).expect("it was added before");
            let version = |object: &Value| {
                object["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse::<u64>().ok())
            };
            assert!(version(&before) < version(&object), "versions go up");
        }
        other => panic!("{other:?}"),
    }
}

fn disturb(cluster: &Cluster, rng: &mut fastrand::Rng) {
    match rng.u8(..10) {
        0 => {
            let letter = ['a', 'b', 'c', 'd'][rng.usize(..4)];
            let mut web = deployment(&image(letter));
            web["spec"]["replicas"] = rng.i64(0..6).into();
            cluster.apply_json(web);
        }
        1 => {
            let pods = cluster.list("pods", "shop");
            if !pods.is_empty() {
                let name = pods[rng.usize(..pods.len())]["metadata"]["name"]
                    .as_str()
                    .expect("it has one")
                    .to_owned();
                // One that has gone in the meantime is as good.
                let _ = cluster.delete("pod", "shop", &name);
            }
        }
        2 => cluster.lose_node(["node-a", "node-b"][rng.usize(..2)]),
        3 => cluster.return_node(["node-a", "node-b"][rng.usize(..2)]),
        4 => {
            let _ = cluster.delete("deployment", "shop", "web");
        }
        _ => cluster.advance(rng.u64(..30_000)),
    }
}

#[tokio::test]
async fn a_watch_that_is_replayed_equals_a_list() {
    for seed in 0..6 {
        let cluster = Cluster::start(Settings { seed, history: 100_000, ..Settings::default() });
        cluster.image(&image('b'), Behaviour::exits_after(3_000, 1));
        cluster.image(&image('c'), Behaviour::never_ready("no").stops_in(40_000));
        let client = Client::new(&cluster);
        let mut rng = fastrand::Rng::with_seed(seed);
        let selectors = ["", "&labelSelector=app%3Dweb", "&fieldSelector=spec.nodeName%3Dnode-a"];
        let path = |selector: &str| format!("/api/v1/namespaces/shop/pods?watch=1{selector}");
        let mut streams = Vec::new();
        for selector in selectors {
            streams.push((selector, Stream::open(&client, &path(selector)).await, Known::new()));
        }
        for _ in 0..25 {
            disturb(&cluster, &mut rng);
        }
        // A last event for each stream says that nothing is outstanding.
        cluster.apply_json(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "last", "namespace": "shop", "labels": {"app": "web"}},
            "spec": {"nodeName": "node-a", "containers": [{"name": "app", "image": image('a')}]},
        }));
        let revision = cluster.revision();
        for (selector, stream, known) in &mut streams {
            let list = client.get(&format!("/api/v1/namespaces/shop/pods?a=b{selector}")).await.body;
            assert_eq!(list["metadata"]["resourceVersion"], revision.to_string());
            let wanted: Known = list["items"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|item| (item["metadata"]["name"].as_str().expect("it has one").to_owned(), item.clone()))
                .collect();
            while *known != wanted {
                let event = stream.next().await.expect("whole").expect("it goes on");
                note(known, &event);
            }
        }
    }
}

#[test]
fn the_same_seed_is_the_same_history() {
    let run = |seed| {
        let cluster = Cluster::start(Settings { seed, ..Settings::default() });
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..30 {
            disturb(&cluster, &mut rng);
        }
        let kinds = ["pods", "replicasets", "deployments", "events", "nodes"];
        kinds.map(|kind| cluster.list(kind, "")).to_vec()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
