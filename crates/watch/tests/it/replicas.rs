//! Replicas that answer, and all the ways in which they do not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use plimsoll_health::{Settings, Tally, Verdict, judge};
use plimsoll_model::{Digest, Lookup};
use plimsoll_watch::{Bounds, BoxFuture, Declaration, Detour, Query, Replica, Replicas, Source as _, Way};

use crate::scripted::{Script, nobody, serve};

pub(crate) const NEW: Digest = Digest::from_sha256([1; 32]);
pub(crate) const OLD: Digest = Digest::from_sha256([2; 32]);

pub(crate) fn failures() -> Query {
    let failed = r#"payout_attempts_total{result="failed"}"#;
    Query::new(&Declaration::new("payout failures", failed, Some("payout_attempts_total"))).unwrap()
}

fn replica(digest: Digest, name: &str, address: SocketAddr) -> Replica {
    Replica { digest, name: name.into(), metrics: Some(format!("http://{address}/metrics")), born: None }
}

fn source() -> Replicas {
    let bounds = Bounds { deadline: Duration::from_millis(400), body: 4 << 20 };
    Replicas::new(vec![failures()], bounds).unwrap()
}

/// The answer to the one metric.
async fn look(script: Script) -> Lookup<plimsoll_health::Reading> {
    let replica = replica(NEW, "a", serve(script).await);
    source().look(&[replica]).await.remove(0).readings.remove(0)
}

fn says(head: &str, body: &str) -> &'static str {
    let text =
        format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    Box::leak(text.into_boxed_str())
}

#[tokio::test]
async fn each_way_not_to_answer_has_its_own_reason() {
    let openmetrics = "200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    let invalid = [
        (Script::Says(says("200 OK\r\nContent-Type: text/html", "<html>")), "it is HTML, not metrics"),
        (Script::Says(says("200 OK", "  <!DOCTYPE html>")), "it is HTML, not metrics"),
        (Script::Says(says("200 OK", "{\"status\": \"ok\"}")), "line 1 is not a metric"),
        (Script::Says(says("404 Not Found", "")), "answers 404"),
        (Script::Says(says("302 Found\r\nLocation: /login", "")), "answers 302"),
        (Script::Says(says(openmetrics, "payout_attempts_total 1\n")), "cut off"),
        (
            Script::Says(says("200 OK", "# TYPE payout_attempts_total gauge\npayout_attempts_total 1\n")),
            "is a gauge",
        ),
        (Script::Floods(50), "larger than 4194304 bytes"),
    ];
    for (script, reason) in invalid {
        match look(script).await {
            Lookup::Invalid(why) => assert!(why.contains(reason), "{why}, not {reason}"),
            other => panic!("{other:?}, not {reason}"),
        }
    }
    let unknown = [
        (Script::Says(says("503 Service Unavailable", "")), "answers 503"),
        (Script::Says("nonsense\r\n\r\n"), "cannot be reached"),
        (Script::BreaksOff, "broke off"),
        (Script::Silent, "did not answer within 0.4 s"),
    ];
    for (script, reason) in unknown {
        match look(script).await {
            Lookup::Unknown(why) => assert!(why.contains(reason), "{why}, not {reason}"),
            other => panic!("{other:?}, not {reason}"),
        }
    }
    let refused = source().look(&[replica(NEW, "a", nobody().await)]).await.remove(0).readings.remove(0);
    assert!(matches!(&refused, Lookup::Unknown(why) if why.contains("refused")), "{refused:?}");
    assert_eq!(look(Script::Says(says("200 OK", "other_total 1\n"))).await, Lookup::Absent);
    let nowhere = Replica { metrics: None, ..replica(NEW, "a", nobody().await) };
    let nowhere = source().look(&[nowhere]).await.remove(0).readings.remove(0);
    assert_eq!(nowhere, Lookup::Unknown("replica a has no address for metrics".into()));
}

#[tokio::test]
async fn silent_replicas_are_waited_for_together_and_hide_nobody() {
    let silent = serve(Script::Silent).await;
    let good = serve(Script::Counts(|n| format!("payout_attempts_total{{result=\"failed\"}} {n}\n"))).await;
    let mut replicas: Vec<Replica> = (0..20).map(|i| replica(OLD, &format!("s{i}"), silent)).collect();
    replicas.push(replica(NEW, "a", good));
    let begin = Instant::now();
    let looks = source().look(&replicas).await;
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    assert_eq!(looks.len(), 21);
    assert!(matches!(looks[20].readings[0], Lookup::Found(_)), "{:?}", looks[20]);
    assert!(matches!(looks[3].readings[0], Lookup::Unknown(_)));
}

/// Another way, which answers or does not, and counts how often it was taken.
struct Around(bool, Arc<AtomicU64>);

impl Detour for Around {
    fn text<'a>(&'a self, _: &'a Replica) -> BoxFuture<'a, Lookup<Vec<u8>>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let answer = match self.0 {
            true => Lookup::Found(b"payout_attempts_total{result=\"failed\"} 7\n".to_vec()),
            false => Lookup::Unknown("the detour is closed".into()),
        };
        Box::pin(std::future::ready(answer))
    }
}

fn with_detour(open: bool, way: Way) -> (Replicas, Arc<AtomicU64>) {
    let taken = Arc::new(AtomicU64::new(0));
    (source().by(Box::new(Around(open, Arc::clone(&taken))), way), taken)
}

#[tokio::test]
async fn the_detour_is_taken_where_no_replica_can_be_reached_and_then_at_once() {
    // Whoever drops what is sent costs the whole deadline, once.
    let (source, taken) = with_detour(true, Way::Try);
    let silent = [replica(NEW, "a", serve(Script::Silent).await), replica(OLD, "b", nobody().await)];
    for rounds in 1..=3 {
        let begin = Instant::now();
        let looks = source.look(&silent).await;
        assert!(looks.iter().all(|look| matches!(look.readings[0], Lookup::Found(_))), "{looks:?}");
        assert!(rounds == 1 || begin.elapsed() < Duration::from_millis(300), "{:?}", begin.elapsed());
        assert_eq!(taken.load(Ordering::SeqCst), 2 * rounds);
    }
}

#[tokio::test]
async fn the_detour_is_not_taken_once_a_replica_was_reached_by_itself() {
    let (source, taken) = with_detour(true, Way::Try);
    let good = serve(Script::Counts(|n| format!("payout_attempts_total{{result=\"failed\"}} {n}\n"))).await;
    let good = replica(NEW, "a", good);
    let looks = source.look(std::slice::from_ref(&good)).await;
    assert!(matches!(looks[0].readings[0], Lookup::Found(_)), "{looks:?}");
    // One that has gone meanwhile is away, whatever somebody else would say of it.
    let looks = source.look(&[good, replica(OLD, "b", nobody().await)]).await;
    assert!(matches!(&looks[1].readings[0], Lookup::Unknown(why) if why.contains("refused")), "{looks:?}");
    assert_eq!(taken.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn where_neither_way_answers_both_reasons_are_given() {
    let (source, taken) = with_detour(false, Way::Try);
    for rounds in 1..=2 {
        let looks = source.look(&[replica(NEW, "a", nobody().await)]).await;
        let both = |why: &str| why.contains("refused") && why.contains("the detour is closed");
        assert!(matches!(&looks[0].readings[0], Lookup::Unknown(why) if both(why)), "{looks:?}");
        assert_eq!(taken.load(Ordering::SeqCst), rounds, "it is tried again");
    }
    let (source, taken) = with_detour(false, Way::Direct);
    source.look(&[replica(NEW, "a", nobody().await)]).await;
    assert_eq!(taken.load(Ordering::SeqCst), 0);
}

/// From two replicas over HTTP to the verdict.
#[tokio::test]
async fn a_release_that_fails_is_found_by_its_own_metrics() {
    let new = serve(Script::Counts(|n| {
        format!(
            "payout_attempts_total{{result=\"ok\"}} {}\npayout_attempts_total{{result=\"failed\"}} {}\n",
            n * 54,
            n * 6
        )
    }))
    .await;
    let old = serve(Script::Counts(|n| {
        format!(
            "payout_attempts_total{{result=\"ok\"}} {}\npayout_attempts_total{{result=\"failed\"}} {}\n",
            n * 60,
            n / 5
        )
    }))
    .await;
    let replicas = [replica(NEW, "new", new), replica(OLD, "old", old)];
    let source = source();
    let started = jiff::Timestamp::from_second(1_700_000_000).unwrap();
    let mut tally = Tally::new(Some(OLD), NEW, vec![failures().metric], started, 10);
    for step in 0..30 {
        for mut look in source.look(&replicas).await {
            look.at = started + jiff::SignedDuration::from_secs(step * 10 + 5);
            tally.look(&look);
        }
    }
    let report = judge(&tally.evidence(), &Settings::default());
    assert_eq!(report.verdict, Verdict::Regressed, "{}", report.sentence());
    assert!(
        report.sentence().contains("new 174 of 1,740 (10 %), old 5 of 1,745 (0.29 %)"),
        "{}",
        report.sentence()
    );
}
