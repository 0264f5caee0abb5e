//! What goes wrong on demand.

use plimsoll_testkit_cluster::{Chaos, Cluster, Fault, Pace, Settings};
use serde_json::json;

use crate::support::{Client, Stream, deployment, image, is_complete, running};

const WEB: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
const MAPS: &str = "/api/v1/namespaces/shop/configmaps";

fn map(name: &str) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}})
}

#[tokio::test]
async fn answers_that_are_not_the_right_ones() {
    let cluster = running();
    let client = Client::new(&cluster);
    cluster.fault("GET", "/deployments/web").skip(1).then(Fault::Status { code: 429, retry_after: Some(3) });
    assert_eq!(client.get(WEB).await.code, 200);
    let throttled = client.get(WEB).await;
    assert_eq!((throttled.code, throttled.retry_after.as_deref()), (429, Some("3")));
    assert_eq!(throttled.body["reason"], "TooManyRequests");
    cluster.fault("GET", "/deployments/web").then(Fault::Status { code: 500, retry_after: None });
    assert_eq!(client.get(WEB).await.body["reason"], "InternalError");
    cluster.fault("PATCH", "/deployments/web").then(Fault::Conflict);
    let merge = "application/merge-patch+json";
    let patch = json!({"metadata": {"labels": {"a": "b"}}});
    assert_eq!(client.send("PATCH", WEB, merge, &patch).await.code, 409);
    cluster.fault("GET", "/deployments/web").then(Fault::Html);
    assert!(client.get(WEB).await.text.starts_with("<html>"));
    assert_eq!(client.get(WEB).await.code, 200);
}

#[tokio::test]
async fn an_answer_that_is_lost_was_an_act() {
    let cluster = Cluster::start(Settings::default());
    let client = Client::new(&cluster);
    cluster.fault("POST", "/configmaps").then(Fault::Reset);
    cluster.fault("POST", "/configmaps").then(Fault::LoseAnswer);
    for there in [false, true] {
        let sent = client.request("POST", MAPS).body(map("a").to_string()).send().await;
        assert!(sent.is_err());
        assert_eq!(cluster.get("configmap", "shop", "a").is_object(), there);
    }
}

#[tokio::test]
async fn what_is_stalled_goes_on_when_it_is_released() {
    let cluster = running();
    let client = Client::new(&cluster);
    cluster.fault("GET", "/deployments/web").then(Fault::Stall);
    let released = async {
        cluster.until_stalled(1).await;
        cluster.release();
    };
    let (answer, ()) = tokio::join!(client.get(WEB), released);
    assert_eq!(answer.code, 200);
}

#[tokio::test]
async fn a_server_that_is_away_comes_back() {
    let cluster = running();
    let client = Client::new(&cluster);
    let mut stream =
        Stream::open(&client, &format!("{MAPS}?watch=1&resourceVersion={}", cluster.revision())).await;
    cluster.away(30_000);
    assert!(stream.next().await.is_err());
    assert!(client.request("GET", WEB).send().await.is_err());
    cluster.advance(30_000);
    assert_eq!(client.get(WEB).await.code, 200);
}

#[tokio::test]
async fn events_are_late_lost_or_cut() {
    let cluster = Cluster::start(Settings::default());
    let client = Client::new(&cluster);
    let from = cluster.revision();
    let mut stream = Stream::open(&client, &format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    cluster.delay_watches(5_000);
    cluster.apply_json(map("late"));
    cluster.advance(4_999);
    cluster.lose_events(0);
    cluster.advance(1);
    assert_eq!(stream.shown().await, "ADDED late");
    cluster.heal();
    cluster.lose_events(1);
    cluster.apply_json(map("lost"));
    cluster.apply_json(map("told"));
    assert_eq!(stream.shown().await, "ADDED told");
    cluster.silence_watches();
    cluster.apply_json(map("silent"));
    cluster.heal();
    assert_eq!(stream.shown().await, "ADDED silent");
    cluster.cut_next_event();
    cluster.apply_json(map("cut"));
    assert!(stream.next().await.is_err());
}

/// A client that only ever repeats itself gets there through all of it.
#[tokio::test]
async fn by_chance_and_the_same_for_the_same_seed() {
    let shares = Chaos { errors: 20, throttled: 10, resets: 10, lost_answers: 10, dropped_watches: 30 };
    let mut seen = Vec::new();
    for _ in 0..2 {
        let cluster = Cluster::start(Settings { seed: 7, ..Settings::default() });
        let client = Client::new(&cluster);
        cluster.chaos(shares);
        let mut codes = Vec::new();
        for _ in 0..60 {
            let sent = client.request("GET", "/api/v1/namespaces/shop").send().await;
            let code = sent.map_or(0, |answer| answer.status().as_u16());
            codes.push(code);
        }
        for kind in [0, 200, 429] {
            assert!(codes.contains(&kind), "{codes:?}");
        }
        cluster.heal();
        assert_eq!(client.get("/api/v1/namespaces/shop").await.code, 200);
        seen.push(codes);
    }
    assert_eq!(seen[0], seen[1]);
}

/// Time that moves when nobody asks anything lets a client wait for the end.
#[tokio::test]
async fn time_moves_by_itself_when_the_client_is_idle() {
    let cluster = Cluster::start(Settings { pace: Pace::WhenIdle { quiet_ms: 2 }, ..Settings::default() });
    let client = Client::new(&cluster);
    client.apply(&format!("{WEB}?fieldManager=me"), &deployment(&image('a'))).await;
    let path = format!("{}?watch=1&fieldSelector=metadata.name%3Dweb", WEB.trim_end_matches("/web"));
    let mut stream = Stream::open(&client, &path).await;
    loop {
        let event = stream.next().await.expect("whole").expect("it goes on");
        if event["object"]["status"]["availableReplicas"] == 3 {
            break;
        }
    }
    assert!(is_complete(&cluster));
    assert!(cluster.now() > Settings::default().starts_at);
}
