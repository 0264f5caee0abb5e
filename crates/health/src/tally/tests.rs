//! Looks at replicas, and what they count.
#![allow(clippy::unwrap_used)]

use super::*;

const NEW: Digest = Digest::from_sha256([1; 32]);
const OLD: Digest = Digest::from_sha256([2; 32]);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn point(series: &str, value: f64) -> Point {
    Point { series: series.into(), bound: None, value, created: None }
}

fn share(failed: Option<f64>, requests: f64) -> Lookup<Reading> {
    let events = failed.map(|value| point("failed", value)).into_iter().collect();
    Lookup::Found(Reading { events, exposure: vec![point("requests", requests)] })
}

fn look(digest: Digest, replica: &str, second: i64, reading: Lookup<Reading>) -> Look {
    Look { digest, replica: replica.into(), at: at(second), born: None, readings: vec![reading] }
}

fn tally(metric: Metric) -> Tally {
    Tally::new(Some(OLD), NEW, vec![metric], at(0), 10)
}

fn failures() -> Tally {
    tally(Metric::new("failures", Kind::Share))
}

fn windows(tally: &Tally) -> Vec<Window> {
    tally.evidence().metrics[0].windows.clone()
}

fn sums(tally: &Tally) -> (Count, Count) {
    crate::likelihood::totals(windows(tally).iter())
}

fn count(events: f64, exposure: f64) -> Count {
    Count { events, exposure }
}

#[test]
fn what_rose_between_two_looks_counts_in_the_window_of_the_later() {
    let mut tally = failures();
    for (second, failed, requests) in [(5, 100.0, 5000.0), (15, 101.0, 5050.0), (25, 103.0, 5060.0)] {
        tally.look(&look(NEW, "a", second, share(Some(failed), requests)));
    }
    tally.look(&look(OLD, "b", 12, share(Some(7.0), 70.0)));
    tally.look(&look(OLD, "b", 22, share(Some(7.0), 90.0)));
    let found = windows(&tally);
    assert_eq!(found.iter().map(|w| w.index).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((found[0].candidate, found[0].side_by_side), (count(1.0, 50.0), false));
    assert_eq!((found[1].candidate, found[1].stable), (count(2.0, 10.0), count(0.0, 20.0)));
    assert!(found[1].side_by_side);
}

#[test]
fn counters_that_begin_again_lose_nothing_that_was_shown() {
    let mut tally = failures();
    for (second, failed, requests) in
        [(0, 10.0, 1000.0), (10, 12.0, 1100.0), (20, 3.0, 30.0), (30, 4.0, 60.0)]
    {
        tally.look(&look(NEW, "a", second, share(Some(failed), requests)));
    }
    assert_eq!(sums(&tally).0, count(2.0 + 3.0 + 1.0, 100.0 + 30.0 + 30.0));
    assert_eq!(tally.evidence().metrics[0].candidate.resets, 2);
}

#[test]
fn a_newer_created_timestamp_is_a_reset_though_the_value_rose() {
    let mut tally = failures();
    let with = |value: f64, created: i64| {
        let made = |series: &str, value| Point { created: Some(at(created)), ..point(series, value) };
        Lookup::Found(Reading {
            events: vec![made("failed", value)],
            exposure: vec![made("requests", value * 10.0)],
        })
    };
    tally.look(&look(NEW, "a", 0, with(5.0, -100)));
    tally.look(&look(NEW, "a", 10, with(8.0, 4)));
    assert_eq!(sums(&tally).0, count(8.0, 80.0));
}

#[test]
fn a_series_that_appears_late_counted_from_zero() {
    let mut tally = failures();
    tally.look(&look(NEW, "a", 0, share(None, 1000.0)));
    tally.look(&look(NEW, "a", 10, share(Some(3.0), 1100.0)));
    assert_eq!(sums(&tally).0, count(3.0, 100.0));
    let presence = tally.evidence().metrics[0].candidate.clone();
    assert_eq!((presence.found, presence.absent), (1, 1));
}

#[test]
fn a_replica_that_starts_under_our_eyes_counts_from_its_start() {
    let mut tally = failures();
    let mut first = look(NEW, "a", 12, share(Some(4.0), 20.0));
    first.born = Some(at(5));
    tally.look(&first);
    // This one is older than the watch.
    let mut first = look(OLD, "b", 12, share(Some(900.0), 2000.0));
    first.born = Some(at(-500));
    tally.look(&first);
    assert_eq!(sums(&tally), (count(4.0, 20.0), count(0.0, 0.0)));
}

#[test]
fn replicas_that_vanish_keep_what_they_did_and_come_back_counted_or_as_a_gap() {
    let mut tally = failures();
    tally.look(&look(NEW, "a", 0, share(Some(0.0), 0.0)));
    tally.look(&look(NEW, "a", 10, share(Some(1.0), 10.0)));
    tally.unreachable(NEW, "connection refused");
    tally.look(&look(NEW, "a", 100, share(Some(2.0), 90.0)));
    tally.look(&look(NEW, "a", 300, share(Some(50.0), 500.0)));
    assert_eq!(sums(&tally).0, count(2.0, 90.0));
    let presence = tally.evidence().metrics[0].candidate.clone();
    assert_eq!((presence.unknown, presence.gaps), (1, 1));
    assert_eq!(presence.why.as_deref(), Some("connection refused"));
}

#[test]
fn what_no_counter_can_be_is_refused() {
    for value in [f64::NAN, f64::INFINITY, -1.0] {
        let mut tally = failures();
        tally.look(&look(NEW, "a", 0, share(Some(1.0), 1.0)));
        tally.look(&look(NEW, "a", 10, share(Some(value), 2.0)));
        let presence = tally.evidence().metrics[0].candidate.clone();
        assert_eq!((presence.found, presence.refused), (1, 1), "{value}");
        assert_eq!(sums(&tally).0, Count::default());
    }
}

#[test]
fn looks_out_of_order_of_other_releases_or_from_before_do_not_count() {
    let mut tally = failures();
    tally.look(&look(NEW, "a", 20, share(Some(1.0), 10.0)));
    tally.look(&look(NEW, "a", 10, share(Some(0.0), 5.0)));
    tally.look(&look(NEW, "a", 20, share(Some(9.0), 50.0)));
    tally.look(&look(Digest::from_sha256([3; 32]), "c", 0, share(Some(0.0), 0.0)));
    tally.look(&look(Digest::from_sha256([3; 32]), "c", 10, share(Some(5.0), 5.0)));
    tally.look(&look(OLD, "b", -20, share(Some(0.0), 0.0)));
    tally.look(&look(OLD, "b", -10, share(Some(5.0), 5.0)));
    assert_eq!(sums(&tally), Default::default());
}

#[test]
fn of_a_share_that_may_not_fall_the_rest_is_judged() {
    let mut tally = tally(Metric::new("served", Kind::Share).lower());
    tally.look(&look(NEW, "a", 0, share(Some(0.0), 0.0)));
    tally.look(&look(NEW, "a", 10, share(Some(90.0), 100.0)));
    assert_eq!(sums(&tally).0, count(10.0, 100.0));
}

#[test]
fn without_a_denominator_the_replicas_time_is_the_exposure() {
    let mut tally = tally(Metric::new("rows", Kind::Rate));
    for replica in ["a", "b"] {
        let reading = |value| Lookup::Found(Reading { events: vec![point("rows", value)], exposure: vec![] });
        tally.look(&look(NEW, replica, 0, reading(0.0)));
        tally.look(&look(NEW, replica, 10, reading(6.0)));
    }
    assert_eq!(sums(&tally).0, count(12.0, 20.0));
}

#[test]
fn slow_observations_are_counted_by_the_old_release_s_quantile() {
    let mut tally = tally(Metric::new("latency", Kind::Latency(crate::Latency::Quantile(0.9))));
    let reading = |scale: f64, fast: f64| {
        let bucket = |bound, value| Point { bound: Some(bound), ..point("seconds", value) };
        Lookup::Found(Reading {
            events: vec![
                bucket(0.1, fast * scale),
                bucket(1.0, 99.0 * scale),
                bucket(f64::INFINITY, 100.0 * scale),
            ],
            exposure: vec![],
        })
    };
    for (step, second) in [(0.0, 0), (1.0, 10), (2.0, 20)] {
        tally.look(&look(OLD, "b", second, reading(step, 95.0)));
        tally.look(&look(NEW, "a", second, reading(step, 50.0)));
    }
    let found = windows(&tally);
    // In the first window nothing is known of the old release yet.
    assert_eq!((found[0].candidate, found[0].stable), Default::default());
    assert_eq!((found[1].candidate, found[1].stable), (count(50.0, 100.0), count(5.0, 100.0)));
}

#[test]
fn without_a_denominator_an_absent_series_is_not_zero() {
    let rate = |value: Option<f64>| {
        let events = value.map(|value| point("rows", value)).into_iter().collect::<Vec<_>>();
        if events.is_empty() { Lookup::Absent } else { Lookup::Found(Reading { events, exposure: vec![] }) }
    };
    // The new release has another name for it; and then: its first event.
    for (first, windows_to_compare) in [(None, 0), (Some(1.0), 29)] {
        let mut tally = tally(Metric::new("rows", Kind::Rate).lower());
        for step in 0..30 {
            let new = if step == 29 { first } else { None };
            tally.look(&look(NEW, "a", step * 10, rate(new)));
            tally.look(&look(OLD, "b", step * 10, rate(Some(step as f64 * 20.0))));
        }
        assert_eq!(windows(&tally).iter().filter(|w| w.side_by_side).count(), windows_to_compare);
        let report = crate::judge(&tally.evidence(), &crate::Settings::default());
        let expected =
            if first.is_some() { crate::Verdict::Regressed } else { crate::Verdict::InsufficientData };
        assert_eq!(report.verdict, expected, "{}", report.sentence());
    }
}
