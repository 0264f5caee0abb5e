//! The switch as users and deployers see it: a process, sockets, requests.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Instance, Load, Switch};

/// Not a test of its own: the switch process of the others.
#[test]
fn daemon_process() {
    common::maybe_be_the_daemon();
}

#[tokio::test]
async fn requests_go_where_the_table_says() {
    let switch = Switch::start().await;
    let (a, b) = (Instance::start("a", 1).await, Instance::start("b", 2).await);
    switch.route(&[&a]).await;
    let mut client = switch.client().await;
    assert_eq!(client.get("/name").await.unwrap(), (200, "a".into()));
    switch.route(&[&b]).await;
    assert_eq!(client.get("/name").await.unwrap(), (200, "b".into()));
    let status = switch.status().await;
    assert!(status.drained("a") && status.routed("b"));
    assert_eq!(status.digests.iter().map(|d| d.requests()).sum::<u64>(), 2);
    let text = switch.control.metrics().await.unwrap();
    assert!(text.contains("plimsoll_switch_responses_total{environment=\"trial\""));
}

/// Zero failed requests while the table changes 200 times (DEP-4).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_during_two_hundred_swaps_all_succeed() {
    let switch = Switch::start().await;
    let (a, b) = (Instance::start("a", 1).await, Instance::start("b", 2).await);
    let c = Instance::start("c", 2).await;
    switch.route(&[&a]).await;
    let load = Load::start(switch.listen, 16, true);
    for swap in 0..200u64 {
        match swap % 3 {
            0 => switch.route(&[&b, &c]).await,
            1 => switch.route(&[&a, &b]).await,
            _ => switch.route(&[&a]).await,
        }
        load.at_least(swap * 50).await;
    }
    load.at_least(10_000).await;
    let (sent, failures) = load.finish().await;
    assert!(failures.is_empty(), "{} of {sent} failed: {:?}", failures.len(), &failures[..1]);
    let status = switch.status().await;
    assert_eq!(status.digests.iter().map(|d| d.requests()).sum::<u64>(), sent);
}
