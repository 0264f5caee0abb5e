//! Watches: what is told, from where, and how they end.

use plimsoll_testkit_cluster::{Cluster, Settings};
use serde_json::json;

use crate::support::{Client, Stream};

const MAPS: &str = "/api/v1/namespaces/shop/configmaps";

fn put(cluster: &Cluster, name: &str, label: &str) {
    cluster.apply_json(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop", "labels": {"l": label}},
    }));
}

fn empty() -> (Cluster, Client) {
    let cluster = Cluster::start(Settings::default());
    let client = Client::new(&cluster);
    (cluster, client)
}

#[tokio::test]
async fn a_watch_tells_what_is_there_and_what_happens() {
    let (cluster, client) = empty();
    put(&cluster, "a", "1");
    let mut stream = Stream::open(&client, &format!("{MAPS}?watch=1")).await;
    assert_eq!(stream.shown().await, "ADDED a");
    put(&cluster, "b", "1");
    put(&cluster, "a", "2");
    cluster.delete("configmap", "shop", "b").expect("it is there");
    for wanted in ["ADDED b", "MODIFIED a", "DELETED b"] {
        assert_eq!(stream.shown().await, wanted);
    }
}

#[tokio::test]
async fn a_watch_goes_on_where_another_has_ended() {
    let (cluster, client) = empty();
    put(&cluster, "a", "1");
    let from = cluster.revision();
    put(&cluster, "b", "1");
    put(&cluster, "c", "1");
    let mut stream = Stream::open(&client, &format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    assert_eq!((stream.shown().await, stream.shown().await), ("ADDED b".into(), "ADDED c".into()));
    cluster.drop_watches();
    assert_eq!(stream.next().await, Ok(None));
}

#[tokio::test]
async fn what_begins_to_match_is_added_and_what_ends_is_deleted() {
    let (cluster, client) = empty();
    put(&cluster, "a", "no");
    let mut stream = Stream::open(&client, &format!("{MAPS}?watch=1&labelSelector=l%3Dyes")).await;
    put(&cluster, "a", "yes");
    put(&cluster, "a", "no");
    assert_eq!((stream.shown().await, stream.shown().await), ("ADDED a".into(), "DELETED a".into()));
}

#[tokio::test]
async fn bookmarks_and_the_end_of_the_time() {
    let (cluster, client) = empty();
    let from = cluster.revision();
    let path = format!("{MAPS}?watch=1&resourceVersion={from}&allowWatchBookmarks=true&timeoutSeconds=90");
    let mut stream = Stream::open(&client, &path).await;
    cluster.advance(60_000);
    let mark = stream.next().await.expect("whole").expect("a bookmark");
    assert_eq!(mark["type"], "BOOKMARK");
    assert_eq!(mark["object"]["metadata"]["resourceVersion"], from.to_string());
    cluster.advance(30_000);
    assert_eq!(stream.next().await, Ok(None));
}

#[tokio::test]
async fn a_list_can_come_as_a_stream() {
    let (cluster, client) = empty();
    put(&cluster, "a", "1");
    let path = format!(
        "{MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let mut stream = Stream::open(&client, &path).await;
    assert_eq!(stream.shown().await, "ADDED a");
    let mark = stream.next().await.expect("whole").expect("a bookmark");
    assert_eq!(mark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

#[tokio::test]
async fn too_old_is_410_in_the_stream_or_before_it() {
    let (cluster, client) = empty();
    let from = cluster.revision();
    let mut open = Stream::open(&client, &format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    put(&cluster, "a", "1");
    assert_eq!(open.shown().await, "ADDED a");
    cluster.expire_watches();
    let told = open.next().await.expect("whole").expect("an error");
    assert_eq!((&told["type"], &told["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(open.next().await, Ok(None));
    let mut late = Stream::open(&client, &format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    let told = late.next().await.expect("whole").expect("an error");
    assert_eq!((&told["object"]["code"], &told["object"]["reason"]), (&json!(410), &json!("Expired")));
    cluster.refuse_watches();
    assert_eq!(client.get(&format!("{MAPS}?watch=1&resourceVersion={from}")).await.code, 410);
}
