//! Debian's Prometheus, and servers that are none.

use std::time::{Duration, Instant};

use plimsoll_health::{Kind, Latency, Look, Metric};
use plimsoll_model::{Diagnose as _, Lookup};
use plimsoll_testkit::prometheus::Server;
use plimsoll_watch::prometheus::{Access, Expression, Releases};
use plimsoll_watch::{Bounds, Declaration, Prometheus, Source as _, WatchError};

use crate::replicas::{NEW, OLD, failures};
use crate::scripted::{Script, metrics, nobody, serve};

fn source(server: &str, expressions: Vec<Expression>) -> Prometheus {
    let releases = Releases {
        label: "sha".into(),
        values: vec![(NEW, vec!["new".into()]), (OLD, vec!["old".into()])],
        replica: "instance".into(),
    };
    let bounds = Bounds { deadline: Duration::from_secs(2), body: 1 << 20 };
    Prometheus::new(server, Access::default(), expressions, releases, bounds).unwrap()
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
    let Some(server) = Server::start(&[("new", new), ("old", old)]) else { return };
    let source = source(&format!("http://{}", server.address()), vec![Expression::from(&failures())]);
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
        let source = self::source(&format!("http://{}/", server.address()), vec![expression(text)]);
        let error = source.check().await.unwrap_err();
        assert_eq!(error.code(), "WCH-012", "{text}: {error:?}");
        assert!(
            error.found().unwrap().contains(reason) || reason == "not defined",
            "{text}: {:?}",
            error.found()
        );
    }
    // A metric that nobody has is absent; a server that has gone is unknown.
    let nothing = self::source(&format!("http://{}", server.address()), vec![expression("nothing_total")]);
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

#[test]
fn expressions_are_read_as_far_as_they_can_be() {
    let read = |query: &str, of: Option<&str>| Expression::new(&Declaration::new("failures", query, of));
    let share = read("payouts_total{result=\"failed\"}", Some("payouts_total")).unwrap();
    assert_eq!((share.metric.kind, share.exposure.as_deref()), (Kind::Share, Some("payouts_total")));
    let summed = "sum by (sha, pod) (payouts_total{result=\"failed\"})";
    let ratio = read(summed, Some("sum by (sha, pod) (payouts_total)")).unwrap();
    assert_eq!((ratio.metric.kind, ratio.events.as_str()), (Kind::Ratio, summed));
    assert_eq!(read(summed, None).unwrap().metric.kind, Kind::Rate);
    // A histogram is asked for its buckets.
    let latency = Some(Latency::Above(0.5));
    let slow =
        Expression::new(&Declaration { latency, ..Declaration::new("slow", "seconds", None) }).unwrap();
    assert_eq!(slow.events, "seconds_bucket");
    for (text, function) in
        [("sum(rate(x[5m]))", "rate"), ("increase (x[1m])", "increase"), ("a / irate(x[1m])", "irate")]
    {
        let error = read(text, None).unwrap_err();
        assert!(error.to_string().contains(&format!("`{function}` gives a rate")), "{text}: {error}");
    }
    // Not a function, only a name.
    assert!(read("sum(error_rate)", None).is_ok());
    assert!(matches!(read(" ", None), Err(WatchError::Selector { .. })));
}
