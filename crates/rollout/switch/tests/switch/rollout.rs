//! Swaps, drains, dying and sick instances: nothing users do may fail.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use plimsoll_rollout_switch::{SwitchError, Table};
use tokio::io::AsyncWriteExt as _;

use crate::common::{Instance, Load, Switch, raw, read_until};

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
    assert_eq!(status.unserved_total, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_dies_costs_no_idempotent_request() {
    let switch = Switch::start().await;
    let a = Instance::start("a", 1).await;
    switch.route(&[&a]).await;
    for round in 0..5u64 {
        let mut doomed = Instance::start("doomed", 2).await;
        switch.route(&[&a, &doomed]).await;
        let mut clients = Vec::new();
        for _ in 0..8 {
            clients.push(switch.client().await);
        }
        let mut tasks = tokio::task::JoinSet::new();
        for mut client in clients {
            tasks.spawn(async move {
                for _ in 0..100 {
                    assert_eq!(client.get("/name").await.map(|answer| answer.0), Ok(200));
                }
            });
        }
        while doomed.served.load(Ordering::Relaxed) < 20 * (round + 1) {
            tokio::task::yield_now().await;
        }
        doomed.die().await;
        while let Some(result) = tasks.join_next().await {
            result.unwrap();
        }
        let status = switch.status().await;
        assert_eq!(status.unserved_total, 0);
    }
}

/// An instance that closes each connection after one answer without saying so:
/// what was not sent, or can be repeated, is.
#[tokio::test]
async fn connections_closed_without_notice_cost_nothing() {
    let switch = Switch::with(|settings| settings.probe_sec = 3600.0).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut entry = Instance::start("a", 1).await.entry();
    entry.address = listener.local_addr().unwrap();
    let rude = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                if !read_until(&mut stream, "\r\n\r\n").await.is_empty() {
                    raw(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                }
            });
        }
    });
    switch.control.apply(&Table { health: None, ..switch.table(vec![entry]) }).await.unwrap();
    let mut client = switch.client().await;
    for _ in 0..200 {
        let answer = tokio::time::timeout(Duration::from_secs(20), client.get("/")).await.unwrap();
        assert_eq!(answer, Ok((200, "ok".into())));
    }
    assert_eq!(switch.status().await.digests[0].failures(), 0);
    rude.abort();
}

/// A request that kills whatever it is sent to is not sent to everybody.
#[tokio::test]
async fn a_deadly_request_is_sent_twice_at_most() {
    let switch = Switch::with(|settings| settings.probe_sec = 3600.0).await;
    let (mut entries, seen) = (Vec::new(), std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0)));
    for name in ["a", "b", "c", "d"] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut entry = Instance::start(name, 1).await.entry();
        entry.address = listener.local_addr().unwrap();
        entries.push(entry);
        let seen = std::sync::Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                if !read_until(&mut stream, "\r\n\r\n").await.is_empty() {
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    switch.control.apply(&Table { health: None, ..switch.table(entries) }).await.unwrap();
    let (status, body) = switch.client().await.get("/").await.unwrap();
    assert_eq!((status, body.as_str()), (502, "trial: the instances did not answer\n"));
    assert_eq!(seen.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_instance_that_comes_back_is_used_again() {
    let switch = Switch::start().await;
    let (a, mut b) = (Instance::start("a", 1).await, Instance::start("b", 1).await);
    switch.route(&[&a, &b]).await;
    let address = b.address;
    b.die().await;
    switch.until("out", |s| s.instances.iter().any(|i| i.instance == "b" && !i.healthy)).await;
    let mut client = switch.client().await;
    for _ in 0..10 {
        assert_eq!(client.get("/name").await.unwrap().1, "a");
    }
    let b = Instance::on("b", 1, address).await;
    switch.until("back", |s| s.instances.iter().all(|i| i.healthy)).await;
    let before = b.served.load(Ordering::Relaxed);
    for _ in 0..10 {
        client.get("/name").await.unwrap();
    }
    assert!(b.served.load(Ordering::Relaxed) >= before + 5);
}

#[tokio::test]
async fn a_sick_instance_is_taken_out_while_another_is_well() {
    let switch = Switch::start().await;
    let (a, b) = (Instance::start("a", 1).await, Instance::start("b", 1).await);
    switch.route(&[&a, &b]).await;
    a.sick.store(true, Ordering::Relaxed);
    switch.until("out", |s| s.instances.iter().any(|i| i.instance == "a" && !i.healthy)).await;
    let mut client = switch.client().await;
    for _ in 0..10 {
        assert_eq!(client.get("/name").await.unwrap().1, "b");
    }
    // When all are sick, a sick answer is better than none.
    b.sick.store(true, Ordering::Relaxed);
    switch.until("all out", |s| s.instances.iter().all(|i| !i.healthy)).await;
    assert_eq!(client.get("/name").await.unwrap().0, 200);
}

#[tokio::test]
async fn weights_share_the_load() {
    let switch = Switch::start().await;
    let (a, b) = (Instance::start("a", 1).await, Instance::start("b", 2).await);
    let mut entries = vec![a.entry(), b.entry()];
    entries[0].weight = 3;
    switch.control.apply(&switch.table(entries)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let mut client = switch.client().await;
        tasks.spawn(async move {
            for _ in 0..10 {
                client.get("/slow?20").await.unwrap();
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    let (a, b) = (a.served.load(Ordering::Relaxed), b.served.load(Ordering::Relaxed));
    assert!(a > 2 * b && b > 0, "a served {a}, b {b}");
}

#[tokio::test]
async fn streams_and_tunnels_survive_a_swap_and_end_with_the_drain_time() {
    let mut switch = Switch::start().await;
    switch.drain_sec = 3;
    let (a, b) = (Instance::start("a", 1).await, Instance::start("b", 2).await);
    switch.route(&[&a]).await;
    let mut tunnel = switch.connect().await;
    raw(&mut tunnel, "GET /upgrade HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        .await;
    let head = read_until(&mut tunnel, "\r\n\r\n").await.to_lowercase();
    assert!(head.starts_with("http/1.1 101 ") && head.contains("upgrade: echo"), "{head}");
    let mut short = switch.connect().await;
    raw(&mut short, "GET /events?100 HTTP/1.1\r\nHost: h\r\n\r\n").await;
    // Unbuffered: the first event is there long before the last.
    assert!(read_until(&mut short, "data: a 100\n\n").await.contains("data: a 100\n\n"));
    let mut long = switch.connect().await;
    raw(&mut long, "GET /events?1000000 HTTP/1.1\r\nHost: h\r\n\r\n").await;
    read_until(&mut long, "data: a 999990\n\n").await;

    switch.route(&[&b]).await;
    let swapped = Instant::now();
    let status = switch.status().await;
    assert!(!status.drained("a") && status.in_flight("a") == 3, "{status:#?}");
    assert!(status.instances.iter().any(|i| i.instance == "a" && i.draining_since.is_some()));
    raw(&mut tunnel, "still here").await;
    assert_eq!(read_until(&mut tunnel, "still here").await, "still here");
    assert!(read_until(&mut short, "data: a 1\n\n\r\n0\r\n\r\n").await.ends_with("0\r\n\r\n"));
    assert_eq!(switch.client().await.get("/name").await.unwrap().1, "b");

    switch.until("drained", |s| s.drained("a")).await;
    assert!(swapped.elapsed() >= Duration::from_secs(3));
    read_until(&mut long, "never").await;
    assert_eq!(read_until(&mut tunnel, "never").await, "");
    let digests = switch.status().await.digests;
    let a = digests.iter().find(|d| d.digest == a.entry().digest).unwrap();
    assert_eq!(a.responses, [1, 2, 0, 0, 0]);
    assert!(a.bytes_in >= 10 && a.bytes_out > 100);
}

#[tokio::test]
async fn a_client_that_does_not_read_cannot_hold_a_drain() {
    let mut switch = Switch::start().await;
    switch.drain_sec = 1;
    let (a, b) = (Instance::start("a", 1).await, Instance::start("b", 2).await);
    switch.route(&[&a]).await;
    let mut deaf = switch.connect().await;
    raw(&mut deaf, "GET /bytes?1000000000 HTTP/1.1\r\nHost: h\r\n\r\n").await;
    switch.until("begun", |s| s.in_flight("a") == 1).await;
    switch.route(&[&b]).await;
    switch.until("drained", |s| s.drained("a")).await;
}

#[tokio::test]
async fn an_instance_that_comes_back_from_draining_keeps_its_requests() {
    let mut switch = Switch::start().await;
    switch.drain_sec = 1;
    let (a, b) = (Instance::start("a", 1).await, Instance::start("b", 2).await);
    switch.route(&[&a]).await;
    let mut client = switch.client().await;
    let slow = tokio::spawn(async move { client.get("/slow?2500").await });
    switch.until("begun", |s| s.in_flight("a") == 1).await;
    switch.route(&[&b]).await;
    switch.route(&[&a]).await;
    let status = switch.status().await;
    assert!(status.routed("a") && status.in_flight("a") == 1);
    assert_eq!(slow.await.unwrap().unwrap().0, 200);
}

#[tokio::test]
async fn with_nobody_routed_a_request_waits_and_then_gets_503() {
    let switch = Switch::with(|settings| settings.wait_sec = 1.5).await;
    let mut client = switch.client().await;
    let (status, body) = client.get("/").await.unwrap();
    assert_eq!((status, body.as_str()), (503, "trial: no instance serves now\n"));
    let a = Instance::start("a", 1).await;
    let waiting = tokio::spawn(async move { client.get("/name").await });
    switch.until("arrived", |s| s.connections == 1).await;
    switch.route(&[&a]).await;
    assert_eq!(waiting.await.unwrap().unwrap(), (200, "a".into()));
    switch.route(&[]).await;
    assert!(switch.status().await.instances.is_empty());
}

#[tokio::test]
async fn older_tables_are_refused_and_nothing_changes() {
    let switch = Switch::start().await;
    let (a, b) = (Instance::start("a", 1).await, Instance::start("b", 2).await);
    let table = |fence, generation, instance: &Instance| Table {
        fence,
        generation,
        ..switch.table(vec![instance.entry()])
    };
    switch.control.apply(&table(7, 5, &a)).await.unwrap();
    assert!(matches!(
        switch.control.apply(&table(6, 9, &b)).await,
        Err(SwitchError::Fenced { fence: 6, seen: 7 })
    ));
    assert!(matches!(
        switch.control.apply(&table(7, 4, &b)).await,
        Err(SwitchError::Stale { generation: 4, seen: 5 })
    ));
    assert!(matches!(
        switch.control.apply(&switch.table(vec![a.entry(), a.entry()])).await,
        Err(SwitchError::InvalidTable { .. })
    ));
    assert!(switch.status().await.routed("a"));
    switch.control.apply(&table(7, 5, &a)).await.unwrap();
    switch.control.apply(&table(8, 1, &b)).await.unwrap();
    assert!(switch.status().await.routed("b"));
}

#[tokio::test]
async fn an_upload_in_progress_survives_a_swap() {
    let switch = Switch::start().await;
    let (a, b) = (Instance::start("a", 1).await, Instance::start("b", 2).await);
    switch.route(&[&a]).await;
    let mut upload = switch.connect().await;
    raw(&mut upload, "POST /count HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello").await;
    switch.until("begun", |s| s.in_flight("a") == 1).await;
    switch.route(&[&b]).await;
    upload.write_all(b"world").await.unwrap();
    assert!(read_until(&mut upload, "\r\n\r\n10").await.ends_with("\r\n\r\n10"));
}
