//! HTTP as it is spoken, and as it is abused.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::common::{Instance, Switch, raw, read_until};

async fn exchange(switch: &Switch, request: &str, end: &str) -> String {
    let mut stream = switch.connect().await;
    raw(&mut stream, request).await;
    read_until(&mut stream, end).await
}

#[tokio::test]
async fn requests_of_every_kind_are_passed_on() {
    let switch = Switch::start().await;
    let a = Instance::start("a", 1).await;
    switch.route(&[&a]).await;
    // Three pipelined requests on one connection, answered in order.
    let pipelined = "GET /name HTTP/1.1\r\nHost: h\r\n\r\nPOST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
                     GET /slow?1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let text = exchange(&switch, pipelined, "never").await;
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3, "{text}");
    assert!(
        text.contains("\r\n\r\naHTTP") && text.contains("\r\n\r\nabcHTTP") && text.ends_with("\r\n\r\na")
    );
    // Chunked, with a trailer.
    let chunked = "POST /echo HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
                   5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n";
    let text = exchange(&switch, chunked, "0\r\n").await;
    assert!(text.contains("hello"), "{text}");
    // HEAD has a length and no body; the connection goes on.
    let head =
        "HEAD /name HTTP/1.1\r\nHost: h\r\n\r\nGET /name HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let text = exchange(&switch, head, "never").await;
    assert_eq!(text.matches("content-length: 1").count(), 2, "{text}");
    assert_eq!(text.matches("\r\n\r\n").count(), 2);
    // HTTP/1.0 without Host, and without chunks in the answer.
    let text = exchange(&switch, "GET /events?2 HTTP/1.0\r\n\r\n", "never").await;
    assert!(text.contains("200 OK") && text.ends_with("\r\n\r\ndata: a 2\n\ndata: a 1\n\n"), "{text}");
    // 100-continue comes before the body is sent.
    let mut stream = switch.connect().await;
    raw(&mut stream, "POST /count HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert!(read_until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
    raw(&mut stream, "body").await;
    assert!(read_until(&mut stream, "\r\n\r\n4").await.ends_with("\r\n\r\n4"));
    // What the instance sees.
    let (_, seen) = switch.client().await.get("/headers").await.unwrap();
    assert!(
        seen.contains("\"x-forwarded-for\": \"127.0.0.1\"") && seen.contains("\"host\": \"trial\""),
        "{seen}"
    );
}

#[tokio::test]
async fn ambiguous_or_broken_requests_are_not_passed_on() {
    let switch = Switch::start().await;
    let a = Instance::start("a", 1).await;
    switch.route(&[&a]).await;
    for bad in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: \x01\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01",
        "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        let text = exchange(&switch, bad, "\r\n\r\n").await;
        assert!(text.starts_with("HTTP/1.1 4"), "{bad:?} got {text:?}");
    }
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n", "x".repeat(100_000));
    let mut stream = switch.connect().await;
    // The switch may close before everything is written.
    let _ = stream.write_all(long.as_bytes()).await;
    let text = read_until(&mut stream, "\r\n\r\n").await;
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 431"), "{text}");
    assert_eq!(switch.status().await.digests[0].requests(), 0);
}

/// An instance that keeps the bytes it was sent.
async fn recorder() -> (std::net::SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let text = read_until(&mut stream, "0\r\n\r\n").await;
            if !text.is_empty() {
                raw(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                return text;
            }
        }
    });
    (address, task)
}

/// A message with both framings is read by one and passed on with one.
#[tokio::test]
async fn both_framings_at_once_do_not_reach_an_instance() {
    for fields in
        ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5"]
    {
        let switch = Switch::with(|settings| settings.probe_sec = 3600.0).await;
        let (address, seen) = recorder().await;
        let mut entry = Instance::start("a", 1).await.entry();
        entry.address = address;
        let table = plimsoll_rollout_switch::Table { health: None, ..switch.table(vec![entry]) };
        switch.control.apply(&table).await.unwrap();
        let smuggle = format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        exchange(&switch, &smuggle, "\r\n\r\n").await;
        let seen = seen.await.unwrap().to_lowercase();
        assert!(!seen.contains("content-length"), "{seen}");
        assert_eq!(seen.matches("transfer-encoding: chunked").count(), 1, "{seen}");
    }
}

#[tokio::test]
async fn h2c_upgrades_are_not_tunnelled() {
    let switch = Switch::start().await;
    let a = Instance::start("a", 1).await;
    switch.route(&[&a]).await;
    let request = "GET /headers HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                   HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let text = exchange(&switch, request, "}").await;
    assert!(
        text.starts_with("HTTP/1.1 200") && !text.contains("h2c") && !text.contains("http2-settings"),
        "{text}"
    );
}

#[tokio::test]
async fn clients_that_dawdle_are_closed() {
    let switch = Switch::with(|settings| settings.header_sec = 0.5).await;
    let a = Instance::start("a", 1).await;
    switch.route(&[&a]).await;
    let start = Instant::now();
    let mut dripping = switch.connect().await;
    let (mut read, mut write) = dripping.split();
    let drip = async {
        for byte in "GET /name HTTP/1.1\r\nHost: h\r\nA: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb".bytes().cycle() {
            if write.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut buffer = [0; 64];
    tokio::select! {
        () = drip => {}
        _ = read.read(&mut buffer) => {}
    }
    assert!(start.elapsed() < Duration::from_secs(10));
    // An upload that stalls, likewise.
    let text =
        exchange(&switch, "POST /count HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc", "never").await;
    assert!(!text.contains("200 OK"));
    switch.until("closed", |s| s.connections == 0 && s.in_flight("a") == 0).await;
}

#[tokio::test]
async fn an_instance_that_never_answers_is_504() {
    let switch = Switch::with(|settings| settings.response_sec = 0.5).await;
    let a = Instance::start("a", 1).await;
    switch.route(&[&a]).await;
    let (status, body) = switch.client().await.get("/never").await.unwrap();
    assert_eq!((status, body.as_str()), (504, "trial: the instance did not answer in time\n"));
    let upgrade = "GET /never HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert!(exchange(&switch, upgrade, "\n\r\n").await.starts_with("HTTP/1.1 504 "));
    let digest = &switch.status().await.digests[0];
    assert_eq!((digest.response_errors, digest.failures()), (2, 2));
}

#[tokio::test]
async fn a_user_who_hangs_up_frees_the_instance() {
    let switch = Switch::start().await;
    let a = Instance::start("a", 1).await;
    switch.route(&[&a]).await;
    let mut stream = switch.connect().await;
    raw(&mut stream, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n").await;
    switch.until("begun", |s| s.in_flight("a") == 1).await;
    drop(stream);
    switch.until("freed", |s| s.in_flight("a") == 0 && s.connections == 0).await;
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Bodies are streamed: gigabytes do not fit into the memory that is used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_pass_in_bounded_memory() {
    const SIZE: usize = 256 << 20;
    let switch = Switch::start().await;
    let a = Instance::start("a", 1).await;
    switch.route(&[&a]).await;
    let pid = switch.status().await.pid;
    let before = resident_kib(pid);
    let mut client = switch.client().await;
    let body = Bytes::from(vec![b'y'; SIZE]);
    let (status, counted) = client.send("POST", "/count", body).await.unwrap();
    assert_eq!((status, counted), (200, SIZE.to_string()));
    let mut stream = switch.connect().await;
    raw(&mut stream, &format!("GET /bytes?{SIZE} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")).await;
    let (mut total, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        // Slower than the instance sends, so that something has to wait.
        let read = stream.read(&mut buffer).await.unwrap();
        if read == 0 {
            break;
        }
        total += read;
    }
    assert!(total > SIZE);
    let grown = resident_kib(pid).saturating_sub(before);
    assert!(grown < 16 * 1024, "grew by {grown} KiB");
    let digest = &switch.status().await.digests[0];
    assert!(digest.bytes_in >= SIZE as u64 && digest.bytes_out >= SIZE as u64);
}
