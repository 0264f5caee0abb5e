//! How long counting and judging take: an hour of looks every ten seconds at
//! four replicas with thousands of series.
//!
//! `cargo run --release -p plimsoll-health --example watch_speed`

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use plimsoll_health::{Kind, Look, Metric, Point, Reading, Settings, Tally, judge};
use plimsoll_model::{Digest, Lookup};

const METRICS: usize = 5;
const SERIES: usize = 400;
const LOOKS: i64 = 360;

fn main() {
    let (new, old) = (Digest::from_sha256([1; 32]), Digest::from_sha256([2; 32]));
    let started = Timestamp::UNIX_EPOCH;
    let metrics = (0..METRICS).map(|i| Metric::new(format!("metric {i}"), Kind::Share)).collect();
    let mut tally = Tally::new(Some(old), new, metrics, started, 10);
    let mut random = fastrand::Rng::with_seed(1);
    let mut counting = std::time::Duration::ZERO;
    for look in 0..LOOKS {
        for (replica, digest) in [("a", new), ("b", new), ("c", old), ("d", old)] {
            let readings = (0..METRICS)
                .map(|_| {
                    let point = |name: &str, i: usize, value: i64| Point {
                        series: format!("{name}{{path=\"/v1/things/{i}\"}}"),
                        bound: None,
                        value: value as f64,
                        created: None,
                    };
                    let half = SERIES / 2;
                    Lookup::Found(Reading {
                        events: (0..half)
                            .map(|i| point("failed_total", i, look / 30 + i64::from(random.bool())))
                            .collect(),
                        exposure: (0..half).map(|i| point("requests_total", i, look * 20)).collect(),
                    })
                })
                .collect();
            let at = started + SignedDuration::from_secs(look * 10 + 5);
            let look = Look { digest, replica: replica.into(), at, born: None, readings };
            let begin = Instant::now();
            tally.look(&look);
            counting += begin.elapsed();
        }
    }
    println!("{} series in each of 4 replicas, {METRICS} metrics, {LOOKS} looks", METRICS * SERIES);
    println!("counting one look at one replica: {:.2} ms", counting.as_secs_f64() * 1e3 / (LOOKS * 4) as f64);
    let begin = Instant::now();
    let evidence = tally.evidence();
    println!("making the evidence: {:.2} ms", begin.elapsed().as_secs_f64() * 1e3);
    let mut times: Vec<f64> = (0..50)
        .map(|_| {
            let begin = Instant::now();
            std::hint::black_box(judge(&evidence, &Settings::default()));
            begin.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("judging it: median {:.2} ms, slowest {:.2} ms", times[25], times[49]);
    println!("{}", judge(&evidence, &Settings::default()).sentence());
}
