//! From what replicas show to a recorded verdict, with what goes wrong on the
//! way: replicas that vanish and come, counters that begin again, series that
//! appear with their first event. Time is the test's.

use jiff::{SignedDuration, Timestamp};
use plimsoll_health::{Look, Record, Replay, Settings, Verdict};
use plimsoll_model::{Digest, Lookup};
use plimsoll_watch::exposition::Exposition;
use plimsoll_watch::{BoxFuture, Declaration, Query, Replica, Session, Source};

use crate::replicas::{NEW, OLD};

/// What one replica shows at one look; nothing where nobody answers.
type Shown = Option<String>;

/// Replicas that show what is scripted for each look.
struct Scripted {
    query: Query,
    round: std::sync::atomic::AtomicI64,
    shows: fn(i64, &str) -> Shown,
}

impl Source for Scripted {
    fn look<'a>(&'a self, replicas: &'a [Replica]) -> BoxFuture<'a, Vec<Look>> {
        let round = self.round.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(10 * round);
        let looks = replicas.iter().map(|replica| {
            let reading = match (self.shows)(round, &replica.name) {
                Some(text) => {
                    let read = Exposition::parse(text.as_bytes(), false, |name| self.query.wants(name));
                    self.query.read(&read.unwrap())
                }
                None => Lookup::Unknown(format!("{} cannot be reached", replica.name)),
            };
            let (digest, replica) = (replica.digest, replica.name.clone());
            Look { digest, replica, at, born: None, readings: vec![reading] }
        });
        Box::pin(std::future::ready(looks.collect()))
    }
}

/// Counters of so many payouts, of which so many failed. The series of failures
/// is there only once there is one, as client libraries have it.
fn text(all: i64, failed: i64) -> Shown {
    let mut text = format!("# TYPE payouts_total counter\npayouts_total{{result=\"ok\"}} {}\n", all - failed);
    if failed > 0 {
        text.push_str(&format!("payouts_total{{result=\"failed\"}} {failed}\n"));
    }
    Some(text)
}

/// Watches for ninety looks; `there` says who is there at a look.
async fn watched(shows: fn(i64, &str) -> Shown, there: fn(i64) -> Vec<(Digest, &'static str)>) -> Record {
    let failed = "payouts_total{result=\"failed\"}";
    let query = Query::new(&Declaration::new("payout failures", failed, Some("payouts_total"))).unwrap();
    let metrics = vec![query.metric.clone()];
    let source = Scripted { query, round: 0.into(), shows };
    let mut session = Session::new(Some(OLD), NEW, Timestamp::UNIX_EPOCH).with(Box::new(source), metrics, 10);
    for round in 0..90 {
        let replica =
            |(digest, name): (Digest, &str)| Replica { digest, name: name.into(), metrics: None, born: None };
        let replicas: Vec<Replica> = there(round).into_iter().map(replica).collect();
        session.look(&replicas).await;
    }
    let record = session.judge(&Settings::default());
    // What is written to the ledger gives the same, read again.
    let read: Record = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
    assert_eq!(read.replay(), Replay::Same);
    record
}

fn both(_: i64) -> Vec<(Digest, &'static str)> {
    vec![(NEW, "new-1"), (OLD, "old-1")]
}

#[tokio::test]
async fn counters_that_begin_again_are_no_fall_and_no_jump() {
    // Both restart now and then; each counts sixty payouts a look, and one in a
    // hundred fails.
    let record = watched(
        |round, name| {
            let since = if name == "new-1" { round % 30 } else { round % 45 };
            text(60 * since, 60 * since / 100)
        },
        both,
    )
    .await;
    let metric = &record.report.metrics[0];
    assert_eq!(record.report.verdict, Verdict::NoEvidence, "{}", metric.line());
    // A look after a restart counts what was since then: nothing here. The others sixty.
    assert_eq!(metric.candidate.exposure, 60.0 * 87.0, "{}", metric.line());
    assert_eq!(
        (record.evidence.metrics[0].candidate.resets, record.evidence.metrics[0].stable.resets),
        (2, 1)
    );
}

#[tokio::test]
async fn a_series_that_appears_with_its_first_event_counts_from_zero() {
    // The new release has no failure for ten minutes, and then many.
    let record = watched(
        |round, name| match name {
            "new-1" => text(60 * round, if round < 60 { 0 } else { 30 * (round - 59) }),
            _ => text(60 * round, 0),
        },
        both,
    )
    .await;
    let metric = &record.report.metrics[0];
    assert_eq!(record.report.verdict, Verdict::Regressed, "{}", metric.line());
    // The first thirty are among them.
    assert_eq!(metric.candidate.events, 30.0 * 30.0, "{}", metric.line());
}

#[tokio::test]
async fn replicas_that_vanish_take_nothing_back_and_bring_nothing_twice() {
    // One of the new ones goes after a third of the time, another comes later; one of
    // the old ones does not answer for a while.
    let record = watched(
        |round, name| match name {
            "old-2" if (20..40).contains(&round) => None,
            "new-3" => text(1_000 + 60 * (round - 50), 10),
            _ => text(60 * round, 60 * round / 100),
        },
        |round| {
            let mut there = vec![(NEW, "new-1"), (OLD, "old-1"), (OLD, "old-2")];
            if round < 30 {
                there.push((NEW, "new-2"));
            }
            if round >= 50 {
                there.push((NEW, "new-3"));
            }
            there
        },
    )
    .await;
    let metric = &record.report.metrics[0];
    assert_eq!(record.report.verdict, Verdict::NoEvidence, "{}", metric.line());
    // 89 rises of the first, 29 of the second, 39 of the third: what it had counted
    // before it was first looked at is not this watch's.
    assert_eq!(metric.candidate.exposure, 60.0 * (89.0 + 29.0 + 39.0), "{}", metric.line());
    // What could not be asked is unknown, and not counted as none: too long a gap is
    // left out whole.
    let stable = &record.evidence.metrics[0].stable;
    assert_eq!((stable.unknown, stable.gaps), (20, 1), "{stable:?}");
    assert_eq!(metric.stable.exposure, 60.0 * (89.0 + 19.0 + 49.0), "{}", metric.line());
}

#[tokio::test]
async fn when_all_of_the_new_release_vanishes_there_is_too_little_data() {
    let record = watched(
        |round, _| text(60 * round, 0),
        |round| if round < 3 { both(round) } else { vec![(OLD, "old-1")] },
    )
    .await;
    let metric = &record.report.metrics[0];
    assert_eq!(record.report.verdict, Verdict::InsufficientData, "{}", metric.line());
    assert_eq!(metric.candidate.exposure, 120.0, "{}", metric.line());
}
