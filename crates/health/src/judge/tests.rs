//! Each verdict and each reason, from evidence that is written by hand.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{Effect, Kind, Presence, Side, Window};

fn seen() -> Presence {
    Presence { found: 10, ..Presence::default() }
}

fn windows(count: u32, candidate: (f64, f64), stable: (f64, f64)) -> Vec<Window> {
    (0..count)
        .map(|index| Window {
            index,
            candidate: Count { events: candidate.0, exposure: candidate.1 },
            stable: Count { events: stable.0, exposure: stable.1 },
            side_by_side: true,
        })
        .collect()
}

fn counted(metric: Metric, windows: Vec<Window>) -> Counted {
    Counted { metric, window_sec: 10, windows, candidate: seen(), stable: seen() }
}

fn failures() -> Metric {
    Metric::new("failures", Kind::Share)
}

fn report(metrics: Vec<Counted>) -> Report {
    let evidence = Evidence {
        schema: crate::evidence::SCHEMA.into(),
        stable: None,
        candidate: plimsoll_model::Digest::from_sha256([1; 32]),
        started: jiff::Timestamp::UNIX_EPOCH,
        metrics,
    };
    judge(&evidence, &Settings::default())
}

fn one(counted: Counted) -> MetricReport {
    report(vec![counted]).metrics.remove(0)
}

#[track_caller]
fn assert_line(found: &MetricReport, verdict: Verdict, line: &str) {
    assert_eq!((found.verdict, found.line().as_str()), (verdict, line), "{found:#?}");
}

#[test]
fn ten_times_the_failures_are_a_regression() {
    let found = one(counted(failures(), windows(18, (3.0, 60.0), (0.3, 60.0))));
    assert!(
        matches!(found.reason, Reason::Worse { window, since_sec: 0, .. } if (5..15).contains(&window)),
        "{:?}",
        found.reason
    );
    assert!(found.ratio.unwrap().low > 2.0 && found.e_value > 100.0);
    let line = found.line();
    assert!(
        line.starts_with("failures: regressed. new 54 of 1,080 (5 %), old 5.4 of 1,080 (0.5 %), 10 times ("),
        "{line}"
    );
    assert!(line.ends_with("of 100 needed)"), "{line}");
}

#[test]
fn no_difference_with_enough_traffic_is_no_evidence() {
    let found = one(counted(failures(), windows(60, (1.0, 200.0), (1.0, 200.0))));
    assert_line(
        &found,
        Verdict::NoEvidence,
        "failures: no evidence. new 60 of 12,000 (0.5 %), old 60 of 12,000 (0.5 %), 1 times (0.51 to 1.9). A \
         threefold rise would have been seen with probability 1.00, a tenfold one with 1.00",
    );
}

#[test]
fn little_traffic_is_insufficient_and_says_what_could_have_been_seen() {
    let found = one(counted(failures(), windows(20, (0.0, 3.0), (0.0, 3.0))));
    assert_eq!((found.verdict, &found.reason), (Verdict::InsufficientData, &Reason::LowPower));
    assert_line(
        &found,
        Verdict::InsufficientData,
        "failures: insufficient data. new 0 of 60 (0 %), old 0 of 60 (0 %) in 3.3 min side by side. A threefold \
         rise would have been seen with probability 0.00, a tenfold one with 0.02; the new release's rate is below \
         5 % at 95 %",
    );
}

#[test]
fn a_difference_below_the_least_effect_is_no_regression() {
    let effect = |ratio, excess| Metric { effect: Effect { ratio, excess }, ..failures() };
    let twice = || windows(200, (4.0, 200.0), (2.0, 200.0));
    assert_eq!(one(counted(failures(), twice())).verdict, Verdict::Regressed);
    for metric in [effect(3.0, None), effect(1.5, Some(0.05))] {
        let found = one(counted(metric, twice()));
        assert_eq!((found.verdict, &found.reason), (Verdict::NoEvidence, &Reason::Irrelevant));
    }
    // One in a hundred thousand is not one in a thousand more.
    let rare = one(counted(failures(), windows(200, (4.0, 400_000.0), (0.4, 400_000.0))));
    assert_eq!(rare.reason, Reason::Irrelevant);
}

#[test]
fn a_counter_that_stops_rising_is_a_regression_where_less_is_worse() {
    let rows = || Metric::new("rows made", Kind::Rate).lower();
    let found = one(counted(rows(), windows(30, (0.0, 30.0), (2.0, 30.0))));
    assert_eq!(found.verdict, Verdict::Regressed, "{}", found.line());
    assert!(found.line().contains("new 0 in 15 min of replica time, old 60 in 15 min"), "{}", found.line());
    let found = one(counted(rows(), windows(60, (2.0, 30.0), (2.0, 30.0))));
    assert_eq!(found.verdict, Verdict::NoEvidence, "{}", found.line());
    assert!(
        found.line().contains("A fall to a third would have been seen with probability"),
        "{}",
        found.line()
    );
    // More is not worse.
    let found = one(counted(rows(), windows(60, (9.0, 30.0), (2.0, 30.0))));
    assert_eq!(found.verdict, Verdict::NoEvidence, "{}", found.line());
    assert!((found.ratio.unwrap().estimate.unwrap() - 4.5).abs() < 1e-9);
}

#[test]
fn without_the_old_release_only_a_declared_limit_is_judged() {
    let alone = |events| {
        windows(30, (events, 100.0), (0.0, 0.0))
            .into_iter()
            .map(|w| Window { side_by_side: false, ..w })
            .collect::<Vec<_>>()
    };
    let limited = || Metric { limit: Some(0.02), ..failures() };
    let dead = one(counted(failures(), alone(50.0)));
    assert_line(
        &dead,
        Verdict::InsufficientData,
        "failures: insufficient data. the old and the new release were never seen in the same window of time",
    );
    let over = one(counted(limited(), alone(50.0)));
    assert!(matches!(over.reason, Reason::OverLimit { window: 3..12 }), "{:?}", over.reason);
    assert!(
        over.line().contains("new 1,500 of 3,000 (50 %), above the declared limit of 2 %"),
        "{}",
        over.line()
    );
    let within = one(counted(limited(), alone(1.9)));
    assert_eq!(within.reason, Reason::NeverSideBySide);
    assert!(within.limit.unwrap().e_value < 200.0 && within.limit.unwrap().alpha == 0.005);
}

#[test]
fn absent_zero_and_unreachable_are_three_things() {
    let nothing = Presence::default();
    let absent = Presence { absent: 9, ..Presence::default() };
    let unknown = Presence { unknown: 9, why: Some("connection refused".into()), ..Presence::default() };
    let refused = Presence { refused: 9, why: Some("queue is a gauge".into()), ..Presence::default() };
    let rate = Metric::new("retries", Kind::Rate);
    let cases = [
        (failures(), nothing.clone(), seen(), Reason::NotLookedAt(Side::Candidate)),
        (failures(), seen(), nothing, Reason::NotLookedAt(Side::Stable)),
        (failures(), unknown.clone(), seen(), Reason::Unknown("connection refused".into())),
        (failures(), seen(), refused, Reason::Refused("queue is a gauge".into())),
        (failures(), absent.clone(), absent.clone(), Reason::Absent(Where::Both)),
        (rate.clone(), absent.clone(), seen(), Reason::Absent(Where::Candidate)),
        (rate, seen(), absent.clone(), Reason::Absent(Where::Stable)),
        // Requests were seen, so none of them failed.
        (failures(), absent, seen(), Reason::Sound),
        (failures(), seen(), seen(), Reason::Sound),
    ];
    for (metric, candidate, stable, reason) in cases {
        let events = if reason == Reason::Sound { 0.5 } else { 0.0 };
        let windows = windows(60, (events, 100.0), (events, 100.0));
        let found = one(Counted { candidate, stable, ..counted(metric, windows) });
        assert_eq!(found.reason, reason);
        let expected = if reason == Reason::Sound { Verdict::NoEvidence } else { Verdict::InsufficientData };
        assert_eq!(found.verdict, expected);
        assert!(!found.why().is_empty());
    }
    let idle = one(counted(failures(), windows(9, (0.0, 0.0), (0.0, 50.0))));
    assert_eq!(idle.reason, Reason::NoTraffic(Side::Candidate));
    assert_eq!(idle.why(), "the new release had no traffic while both were seen");
}

#[test]
fn one_metric_decides_for_all_and_alpha_is_split() {
    let sound = || counted(failures(), windows(60, (1.0, 200.0), (1.0, 200.0)));
    let worse = || counted(failures(), windows(60, (9.0, 200.0), (1.0, 200.0)));
    let unknown = || counted(failures(), vec![]);
    assert_eq!(report(vec![sound(), sound()]).verdict, Verdict::NoEvidence);
    assert_eq!(report(vec![sound(), unknown()]).verdict, Verdict::InsufficientData);
    let all = report(vec![sound(), unknown(), worse()]);
    assert_eq!(all.verdict, Verdict::Regressed);
    assert!(all.sentence().starts_with("failures: regressed. new 540 of 12,000"), "{}", all.sentence());
    assert!(all.metrics.iter().all(|metric| (metric.alpha - 0.01 / 3.0).abs() < 1e-8));
    assert_eq!(report(vec![]).verdict, Verdict::InsufficientData);
}

#[test]
fn a_lone_burst_is_no_regression() {
    let mut calm = windows(60, (0.0, 50.0), (0.0, 50.0));
    calm[30].candidate.events = 45.0;
    let found = one(counted(failures(), calm.clone()));
    assert_ne!(found.verdict, Verdict::Regressed, "{}", found.line());
    assert!(found.dispersion > 20.0);
    for window in &mut calm[30..] {
        window.candidate.events = 45.0;
    }
    assert_eq!(one(counted(failures(), calm)).verdict, Verdict::Regressed);
}

#[test]
fn evidence_without_sense_does_not_panic() {
    for value in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
        for kind in [Kind::Share, Kind::Rate, Kind::Ratio] {
            let metric = Metric { limit: Some(value), worse: Worse::Lower, ..Metric::new("x", kind) };
            let _ = one(counted(metric, windows(9, (value, 1.0), (1.0, value)))).line();
        }
    }
}

#[test]
fn what_fails_after_a_good_hour_is_found_soon_and_dated() {
    let mut good = windows(360, (1.0, 200.0), (1.0, 200.0));
    for window in &mut good[180..] {
        window.candidate.events = 100.0;
    }
    let found = one(counted(failures(), good));
    let Reason::Worse { window, since_sec, .. } = found.reason else { panic!("{}", found.line()) };
    assert!((180..196).contains(&window) && (1790..=1810).contains(&since_sec), "{window} {since_sec}");
    assert!(found.line().contains("regressed. from 30 min on new "), "{}", found.line());
}

#[test]
fn long_windows_find_a_dead_release_within_a_few_of_them() {
    let found =
        one(Counted { window_sec: 120, ..counted(failures(), windows(10, (100.0, 100.0), (0.5, 100.0))) });
    assert!(matches!(found.reason, Reason::Worse { window: 1..4, .. }), "{:?}", found.reason);
    // One lost connection within one of them is none.
    let mut burst = windows(10, (0.5, 100.0), (0.5, 100.0));
    burst[4].candidate.events = 60.0;
    let found = one(Counted { window_sec: 120, ..counted(failures(), burst) });
    assert_ne!(found.verdict, Verdict::Regressed, "{}", found.line());
}
