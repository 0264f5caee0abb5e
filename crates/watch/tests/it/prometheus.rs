//! Debian's Prometheus, and servers that are none.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use plimsoll_health::{Kind, Look, Metric};
use plimsoll_model::{Diagnose as _, Lookup};
use plimsoll_testkit::peer;
use plimsoll_watch::prometheus::{Expression, Releases};
use plimsoll_watch::{Bounds, Prometheus, Source as _, WatchError};

use crate::replicas::{NEW, OLD, failures};
use crate::scripted::{Script, metrics, nobody, serve};

/// A running server, which ends when this is dropped.
struct Server {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts Prometheus, which asks the two addresses every fifth of a second.
fn start(new: SocketAddr, old: SocketAddr) -> Option<Server> {
    let peers = peer::require(&["prometheus"])?;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("prometheus.yml");
    let target = |address: SocketAddr, sha: &str| {
        format!("      - targets: ['{address}']\n        labels: {{ sha: '{sha}' }}\n")
    };
    let text = format!(
        "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms }}\nscrape_configs:\n  - job_name: payouts\n    \
         static_configs:\n{}{}",
        target(new, "new"),
        target(old, "old")
    );
    std::fs::write(&config, text).unwrap();
    let mut command = peers.command("prometheus");
    command.arg("--config.file").arg(&config).arg("--storage.tsdb.path").arg(folder.path().join("data"));
    command.args(["--web.listen-address", "127.0.0.1:0", "--log.level", "info", "--log.format", "logfmt"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // Port 0: the system chooses, and the log says which.
    let mut log = String::new();
    let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
        log.push_str(&line);
        log.push('\n');
        let (_, rest) = line.split_once("msg=\"Listening on\" address=")?;
        Some(rest.split(' ').next().unwrap_or_default().to_owned())
    });
    let address = address.unwrap_or_else(|| panic!("prometheus ended without listening:\n{log}"));
    // It would stop when nobody reads what it logs.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Some(Server { child, address, _folder: folder })
}

fn source(server: &str, expressions: Vec<Expression>) -> Prometheus {
    let releases = Releases {
        label: "sha".into(),
        values: vec![(NEW, "new".into()), (OLD, "old".into())],
        replica: "instance".into(),
    };
    let bounds = Bounds { deadline: Duration::from_secs(2), body: 1 << 20 };
    Prometheus::new(server, None, expressions, releases, bounds).unwrap()
}

fn expression(events: &str) -> Expression {
    Expression { metric: Metric::new("failures", Kind::Rate), events: events.into(), exposure: None }
}

/// Both releases, once the server has scraped them.
async fn both(source: &Prometheus) -> Vec<Look> {
    let begin = Instant::now();
    loop {
        let looks = source.look(&[]).await;
        let found = looks.iter().filter(|look| matches!(look.readings[0], Lookup::Found(_))).count();
        if found == 2 {
            return looks;
        }
        assert!(begin.elapsed() < Duration::from_secs(40), "{looks:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn counters_of_both_releases_are_read_from_a_real_server() {
    let answer = |n: u64| {
        format!(
            "# TYPE payout_attempts_total counter\npayout_attempts_total{{result=\"ok\"}} {}\n\
             payout_attempts_total{{result=\"failed\"}} {n}\n",
            n * 9
        )
    };
    let (new, old) = (serve(Script::Counts(answer)).await, serve(Script::Counts(answer)).await);
    let Some(server) = start(new, old) else { return };
    let source = source(&format!("http://{}", server.address), vec![Expression::from(&failures())]);
    let looks = both(&source).await;
    assert_eq!(looks.iter().map(|look| look.digest).collect::<Vec<_>>(), [NEW, OLD]);
    assert_eq!(looks[0].replica, new.to_string());
    let reading = looks[0].readings[0].found().unwrap();
    assert_eq!((reading.events.len(), reading.exposure.len()), (1, 2));
    let all: f64 = reading.exposure.iter().map(|point| point.value).sum();
    assert_eq!(all, reading.events[0].value * 10.0);
    source.check().await.unwrap();
    // What the server refuses is refused before anything moves.
    for (text, reason) in [
        ("rate(payout_attempts_total[5m]", "parse error"),
        ("payout_attempts_total[5m]", "instant vector"),
        ("3", "it gives a scalar, not an instant vector"),
        ("no_such_function(x)", "unknown function"),
    ] {
        let source = self::source(&format!("http://{}/", server.address), vec![expression(text)]);
        let error = source.check().await.unwrap_err();
        assert_eq!(error.code(), "WCH-012", "{text}: {error:?}");
        assert!(
            error.found().unwrap().contains(reason) || reason == "not defined",
            "{text}: {:?}",
            error.found()
        );
    }
    // A metric that nobody has is absent; a server that has gone is unknown.
    let nothing = self::source(&format!("http://{}", server.address), vec![expression("nothing_total")]);
    assert!(nothing.look(&[]).await.iter().all(|look| look.readings == [Lookup::Absent]));
    drop(server);
    assert!(source.look(&[]).await.iter().all(|look| matches!(look.readings[0], Lookup::Unknown(_))));
}

#[tokio::test]
async fn what_is_no_prometheus_is_told() {
    let json = |text: &str| -> &'static str { Box::leak(metrics(text).into_boxed_str()) };
    let cases = [
        (Script::Says("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"), "something else than its API"),
        (Script::Says("HTTP/1.1 401 Unauthorized\r\nContent-Length: 12\r\n\r\nUnauthorized"), "answers 401"),
        (Script::Says(json(r#"{"status":"success"}"#)), "has no data"),
        (Script::Says(json(r#"{"status":"error","error":"overloaded"}"#)), "overloaded"),
        (
            Script::Says(json(r#"{"status":"success","data":{"resultType":"vector","result":7}}"#)),
            "cannot be read",
        ),
        (Script::Floods(3), "larger than"),
        (Script::Silent, "did not answer within 2 s"),
    ];
    for (script, reason) in cases {
        let source = source(&format!("http://{}", serve(script).await), vec![expression("x")]);
        match source.check().await {
            Err(WatchError::Server { reason: found, .. }) => {
                assert!(found.contains(reason), "{found}, not {reason}")
            }
            other => panic!("{other:?}, not {reason}"),
        }
    }
    let gone = source(&format!("http://{}", nobody().await), vec![expression("x")]);
    assert_eq!(gone.check().await.unwrap_err().code(), "WCH-013");
}
