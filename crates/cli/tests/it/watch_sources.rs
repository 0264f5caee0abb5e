//! DEP-6: the watch through its other sources: a Prometheus server, and spans.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use plimsoll_model::Commit;
use plimsoll_testkit::otlp::export;
use plimsoll_testkit::prometheus::Server;
use serde_json::json;

use crate::world::{World, free_address, until};

/// A server of HTTP for as long as the test's process runs.
fn serve(answer: impl Fn(&str) -> String + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 8192];
            let read = stream.read(&mut request).unwrap_or(0);
            let head = String::from_utf8_lossy(&request[..read]).into_owned();
            let target = head.split(' ').nth(1).unwrap_or_default();
            let body = answer(target);
            // An empty answer hangs up: a server that has gone.
            if !body.is_empty() {
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\
                     Connection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        }
    });
    address
}

/// Two releases of `blue`, the first of which serves; the configuration of both
/// has this watch.
fn two_releases(watch: &str) -> (World, Commit, Commit) {
    let mut world = World::new();
    world.repo.write("plimsoll.toml", world.configuration() + watch);
    let (first, second) = (world.built("first", "well"), world.built("second", "well"));
    let at_once = ["--set", "environments.blue.watch.bake=0s"];
    world.plimsoll(["deploy", first.as_str(), "--env", "blue"].into_iter().chain(at_once)).exits(0);
    (world, first, second)
}

fn watch(bake: &str, server: &str, query: &str) -> String {
    format!(
        "\n[environments.blue.watch]\nbake = \"{bake}\"\ninterval = \"1s\"\npersist = \"5s\"\n\
         \n[environments.blue.watch.prometheus]\nurl = \"http://{server}\"\nlabel = \"sha\"\nscrape_interval = \"500ms\"\n\
         \n[[environments.blue.watch.metrics]]\nname = \"payout failures\"\nsource = \"prometheus\"\nquery = '{query}'\n\
         of = 'payout_attempts_total'\n"
    )
}

const FAILED: &str = "payout_attempts_total{result=\"failed\"}";

/// What Prometheus' API answers: counters of both releases, by the label `sha`.
fn api(query: &str, counts: &[(&str, u64, u64)]) -> String {
    let failed = query.contains("failed");
    let element = |sha: &str, result: &str, value: u64| {
        json!({ "metric": { "__name__": "payout_attempts_total", "sha": sha, "result": result, "instance": sha },
                "value": [0.0, value.to_string()] })
    };
    let result: Vec<_> = counts
        .iter()
        .flat_map(|(sha, all, bad)| {
            let bad = element(sha, "failed", *bad);
            if failed { vec![bad] } else { vec![element(sha, "ok", *all), bad] }
        })
        .collect();
    json!({ "status": "success", "data": { "resultType": "vector", "result": result } }).to_string()
}

#[test]
fn absent_zero_and_down_are_told_apart() {
    // The releases are known only once they are built, after the server's address.
    let shas = Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let mode = Arc::new(AtomicU64::new(0));
    let asked = Arc::new(AtomicU64::new(0));
    let server = serve({
        let (shas, mode, asked) = (Arc::clone(&shas), Arc::clone(&mode), Arc::clone(&asked));
        move |target| {
            let round = asked.fetch_add(1, Ordering::SeqCst);
            let shas = shas.lock().unwrap();
            let counts = |all| shas.iter().map(|sha| (sha.as_str(), all, 0)).collect::<Vec<_>>();
            match mode.load(Ordering::SeqCst) {
                0 => api(target, &[]),
                1 => api(target, &counts(100 * round)),
                // The two expressions are tried before anything moves, and then it has gone.
                _ if round < 2 => api(target, &counts(7)),
                _ => String::new(),
            }
        }
    });
    let (mut world, first, second) = two_releases(&watch("4s", &server.to_string(), FAILED));
    let (third, fourth) = (world.built("third", "well"), world.built("fourth", "well"));
    // A label may have the whole commit, a short one, or the digest.
    *shas.lock().unwrap() =
        vec![first.to_string(), second.short().to_owned(), third.to_string(), fourth.to_string()];
    let rounds = [
        (&second, "the query matched no series on either release"),
        (&third, "new 0 of"),
        (&fourth, "the metrics could not be read"),
    ];
    for (at, (sha, sentence)) in rounds.into_iter().enumerate() {
        mode.store(at as u64, Ordering::SeqCst);
        asked.store(0, Ordering::SeqCst);
        let report =
            world.plimsoll(["deploy", sha.as_str(), "--env", "blue", "--output", "json"]).exits(0).json();
        let metric = &report["watch"]["metrics"][0];
        assert!(metric["sentence"].as_str().unwrap().contains(sentence), "{report:#}");
        assert_eq!(metric["verdict"], "insufficient_data", "{report:#}");
    }
    // Down before anything moves: nothing is touched.
    asked.store(2, Ordering::SeqCst);
    let fifth = world.built("fifth", "well");
    let down = world.plimsoll(["deploy", fifth.as_str(), "--env", "blue"]).exits(5);
    down.says(&["WCH-013", "nothing was touched"]);
}

#[test]
fn an_expression_that_the_server_refuses_stops_it_before_anything_moves() {
    let Some(server) = Server::start(&[]) else { return };
    let (world, first, second) =
        two_releases(&watch("4s", &server.address(), "sum by (sha) (payout_attempts_total"));
    let deploy = ["deploy", second.as_str(), "--env", "blue"];
    let before = world.json(["history", "--env", "blue"]);
    world.plimsoll(deploy).exits(2).says(&["WCH-012", "parse error", "nothing was touched"]);
    world.plimsoll(deploy.into_iter().chain(["--dry-run"])).exits(2).says(&["WCH-012"]);
    assert_eq!(world.json(["history", "--env", "blue"]), before);
    let status = &world.json(["status", "--env", "blue"])["environments"][0];
    assert_eq!(status["running"]["image_sha"], first.as_str());
    // A rate is no counter, whatever the server thinks of it.
    let text = watch("4s", &server.address(), "sum by (sha) (rate(payout_attempts_total[5m]))");
    world.repo.write("plimsoll.toml", world.configuration() + &text);
    world.plimsoll(deploy).exits(2).says(&["WCH-011", "`rate` gives a rate"]);
}

#[test]
fn a_real_prometheus_server_shows_a_regression() {
    // What the two releases count: a tenth of the second one's payouts fail.
    let counted = |bad: u64| {
        let looks = AtomicU64::new(0);
        serve(move |_| {
            let n = looks.fetch_add(1, Ordering::SeqCst) * 200;
            let failed = n * bad / 100;
            format!(
                "# TYPE payout_attempts_total counter\npayout_attempts_total{{result=\"ok\"}} {}\n\
                 payout_attempts_total{{result=\"failed\"}} {failed}\n",
                n - failed
            )
        })
    };
    let (well, ill) = (counted(1), counted(60));
    let Some(server) = Server::start(&[]) else { return };
    let (world, first, second) = two_releases(&watch("80s", &server.address(), FAILED));
    server.scrape(&[(first.as_str(), well), (second.as_str(), ill)]);
    let report =
        world.plimsoll(["deploy", second.as_str(), "--env", "blue", "--output", "json"]).exits(6).json();
    assert_eq!(
        (&report["outcome"], &report["code"]),
        (&"rolled_back".into(), &"DEP-110".into()),
        "{report:#}"
    );
    let watch = &report["watch"];
    assert_eq!((&watch["decision"], &watch["regressed"]), (&"go_back".into(), &true.into()), "{watch:#}");
    let metric = &watch["metrics"][0];
    assert!(metric["new"]["events"].as_f64() > metric["old"]["events"].as_f64(), "{metric:#}");
}

/// Posts spans; whether they were taken.
fn post(address: SocketAddr, body: &[u8]) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nHost: plimsoll\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    let mut answer = String::new();
    let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    sent.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}

#[test]
fn spans_are_received_while_both_releases_serve() {
    let listen = free_address();
    let text = format!(
        "\n[environments.blue.watch]\nbake = \"6s\"\ninterval = \"1s\"\n\
         \n[environments.blue.watch.traces]\nlisten = \"{listen}\"\n\
         \n[[environments.blue.watch.metrics]]\nname = \"error spans\"\n\
         query = 'plimsoll_spans_total{{kind=\"server\",status=\"error\"}}'\nof = 'plimsoll_spans_total{{kind=\"server\"}}'\n"
    );
    let (world, first, second) = two_releases(&text);
    let planned = world.json(["deploy", second.as_str(), "--env", "blue", "--dry-run"]);
    let plan = &planned["watch_plan"];
    assert_eq!(
        (&plan["bake_sec"], &plan["metrics"][0]["source"]),
        (&6.into(), &"traces".into()),
        "{planned:#}"
    );
    let words = format!("spans received on {listen}, by service.version");
    world
        .plimsoll(["deploy", second.as_str(), "--env", "blue", "--dry-run"])
        .exits(0)
        .says(&["side by side for 6 s", &words]);
    // Somebody else has the address: found before anything moves.
    let taken = TcpListener::bind(listen).unwrap();
    let deploy = ["deploy", second.as_str(), "--env", "blue", "--output", "json"];
    world.plimsoll(deploy).exits(1).says(&["WCH-014"]);
    drop(taken);
    let mut running = world.start(world.command(deploy));
    until("spans are taken", || post(listen, &export(first.as_str(), 1, 0)));
    while running.runs() {
        // What arrives after its end goes nowhere.
        let _ = post(listen, &export(first.as_str(), 20, 0));
        let _ = post(listen, &export(second.short(), 20, 2));
        crate::world::pause(std::time::Duration::from_millis(100));
    }
    let report = running.wait().exits(0).json();
    let metric = &report["watch"]["metrics"][0];
    let (new, old) = (&metric["new"], &metric["old"]);
    assert!(new["exposure"].as_f64() > Some(100.0) && old["exposure"].as_f64() > Some(100.0), "{report:#}");
    assert_eq!(new["events"].as_f64().unwrap() * 10.0, new["exposure"].as_f64().unwrap(), "{report:#}");
    assert_eq!(old["events"], 0.0, "{report:#}");
    assert!(!post(listen, &export(first.as_str(), 1, 0)), "nothing listens there any more");
}
