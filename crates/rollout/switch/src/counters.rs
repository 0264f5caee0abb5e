//! Counters by image digest: what health decisions are made on.
//!
//! They only rise. A digest's counters stay when it leaves the table, so that
//! a release that was rolled back can still be looked at; at most
//! [`MAX_DIGESTS`] are kept, those not routed for longest go first.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use plimsoll_model::{Commit, Digest};
use serde::{Deserialize, Serialize};

/// How many digests are remembered.
pub const MAX_DIGESTS: usize = 64;

/// Upper bounds of the latency buckets in seconds; a last one has no bound.
pub const LATENCY_BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const BOUNDS_US: [u64; 14] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000,
];
const BUCKETS: usize = LATENCY_BUCKETS.len() + 1;

/// The live counters of one digest.
#[derive(Debug)]
pub(crate) struct DigestCounters {
    pub(crate) digest: Digest,
    pub(crate) sha: Commit,
    classes: [AtomicU64; 5],
    pub(crate) connect_errors: AtomicU64,
    pub(crate) response_errors: AtomicU64,
    pub(crate) aborted: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
    latency_us: AtomicU64,
}

/// The counters of one digest at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestStats {
    /// The image manifest digest.
    pub digest: Digest,
    /// The commit.
    pub sha: Commit,
    /// Answers by status class: 1xx (upgrades), 2xx, 3xx, 4xx, 5xx.
    pub responses: [u64; 5],
    /// Connections that could not be made; the request went elsewhere or got 502.
    pub connect_errors: u64,
    /// Requests sent that got no answer; likewise.
    pub response_errors: u64,
    /// Answers the instance broke off.
    pub aborted: u64,
    /// Requests tried again on another connection or instance.
    pub retries: u64,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
    /// Time from the request's arrival to the head of the answer, not
    /// cumulative: one count per bound in [`LATENCY_BUCKETS`], one for the rest.
    pub latency: Vec<u64>,
    /// Sum of those times in seconds.
    pub latency_sum_sec: f64,
}

impl DigestStats {
    /// All answers.
    pub fn requests(&self) -> u64 {
        self.responses.iter().sum()
    }

    /// Answers with 5xx, answers missing, answers broken off.
    pub fn failures(&self) -> u64 {
        self.responses[4] + self.response_errors + self.aborted
    }
}

impl DigestCounters {
    pub(crate) fn new(digest: Digest, sha: Commit) -> Self {
        Self {
            digest,
            sha,
            classes: Default::default(),
            connect_errors: AtomicU64::new(0),
            response_errors: AtomicU64::new(0),
            aborted: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            buckets: Default::default(),
            latency_us: AtomicU64::new(0),
        }
    }

    pub(crate) fn answered(&self, status: u16, took: Duration) {
        let class = usize::from((status / 100).clamp(1, 5) - 1);
        self.classes[class].fetch_add(1, Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.iter().position(|&bound| us <= bound).unwrap_or(BUCKETS - 1);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.latency_us.fetch_add(us, Relaxed);
    }

    fn read(&self, take: bool) -> DigestStats {
        let get = |counter: &AtomicU64| if take { counter.swap(0, Relaxed) } else { counter.load(Relaxed) };
        DigestStats {
            digest: self.digest,
            sha: self.sha.clone(),
            responses: std::array::from_fn(|i| get(&self.classes[i])),
            connect_errors: get(&self.connect_errors),
            response_errors: get(&self.response_errors),
            aborted: get(&self.aborted),
            retries: get(&self.retries),
            bytes_in: get(&self.bytes_in),
            bytes_out: get(&self.bytes_out),
            latency: self.buckets.iter().map(get).collect(),
            latency_sum_sec: get(&self.latency_us) as f64 / 1e6,
        }
    }

    fn add(&self, more: &DigestStats) {
        for (counter, more) in self.classes.iter().zip(more.responses) {
            counter.fetch_add(more, Relaxed);
        }
        for (counter, more) in self.buckets.iter().zip(&more.latency) {
            counter.fetch_add(*more, Relaxed);
        }
        self.connect_errors.fetch_add(more.connect_errors, Relaxed);
        self.response_errors.fetch_add(more.response_errors, Relaxed);
        self.aborted.fetch_add(more.aborted, Relaxed);
        self.retries.fetch_add(more.retries, Relaxed);
        self.bytes_in.fetch_add(more.bytes_in, Relaxed);
        self.bytes_out.fetch_add(more.bytes_out, Relaxed);
        self.latency_us.fetch_add((more.latency_sum_sec * 1e6).max(0.0) as u64, Relaxed);
    }
}

/// All digests' counters, those routed most recently last.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    known: Vec<Arc<DigestCounters>>,
}

impl Counters {
    /// The counters of a digest, made when new. Beyond [`MAX_DIGESTS`] the
    /// one not asked for longest that no instance holds is forgotten.
    pub(crate) fn of(&mut self, digest: Digest, sha: &Commit) -> Arc<DigestCounters> {
        let found = match self.known.iter().position(|known| known.digest == digest) {
            Some(at) => self.known.remove(at),
            None => Arc::new(DigestCounters::new(digest, sha.clone())),
        };
        if self.known.len() >= MAX_DIGESTS
            && let Some(at) = self.known.iter().position(|known| Arc::strong_count(known) == 1)
        {
            self.known.remove(at);
        }
        self.known.push(Arc::clone(&found));
        found
    }

    /// Adds what another process counted.
    pub(crate) fn absorb(&mut self, more: &[DigestStats]) {
        for stats in more.iter().take(MAX_DIGESTS) {
            match self.known.iter().find(|known| known.digest == stats.digest) {
                Some(known) => known.add(stats),
                None => self.of(stats.digest, &stats.sha).add(stats),
            }
        }
    }

    pub(crate) fn stats(&self) -> Vec<DigestStats> {
        self.known.iter().map(|known| known.read(false)).collect()
    }

    /// The counters, which start again from zero: whoever takes them adds
    /// them to its own.
    pub(crate) fn take(&self) -> Vec<DigestStats> {
        self.known.iter().map(|known| known.read(true)).collect()
    }
}

/// The counters in Prometheus' text format, version 0.0.4.
pub(crate) fn prometheus(environment: &str, digests: &[DigestStats], unserved: u64) -> String {
    let mut text = String::with_capacity(1024 + digests.len() * 4096);
    let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let environment = escape(environment);
    let labels = |stats: &DigestStats| {
        format!("environment=\"{environment}\",digest=\"{}\",sha=\"{}\"", stats.digest, stats.sha)
    };
    // Writing to a String cannot fail, so the results are of no interest.
    let head = |text: &mut String, name: &str, kind: &str, help: &str| {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    };
    let name = "plimsoll_switch_responses_total";
    head(&mut text, name, "counter", "Answers of instances by status class.");
    for stats in digests {
        for (class, count) in stats.responses.iter().enumerate() {
            let _ = writeln!(text, "{name}{{{},class=\"{}xx\"}} {count}", labels(stats), class + 1);
        }
    }
    let name = "plimsoll_switch_errors_total";
    head(&mut text, name, "counter", "Requests an instance did not answer, by kind.");
    for stats in digests {
        for (kind, count) in [
            ("connect", stats.connect_errors),
            ("response", stats.response_errors),
            ("aborted", stats.aborted),
        ] {
            let _ = writeln!(text, "{name}{{{},kind=\"{kind}\"}} {count}", labels(stats));
        }
    }
    let name = "plimsoll_switch_retries_total";
    head(&mut text, name, "counter", "Requests tried again elsewhere.");
    for stats in digests {
        let _ = writeln!(text, "{name}{{{}}} {}", labels(stats), stats.retries);
    }
    let name = "plimsoll_switch_body_bytes_total";
    head(&mut text, name, "counter", "Bytes of bodies by direction.");
    for stats in digests {
        for (direction, count) in [("in", stats.bytes_in), ("out", stats.bytes_out)] {
            let _ = writeln!(text, "{name}{{{},direction=\"{direction}\"}} {count}", labels(stats));
        }
    }
    let name = "plimsoll_switch_response_seconds";
    head(&mut text, name, "histogram", "Time to the head of the answer.");
    for stats in digests {
        let labels = labels(stats);
        let mut sum = 0;
        for (at, count) in stats.latency.iter().enumerate() {
            sum += count;
            let bound = LATENCY_BUCKETS.get(at).map_or("+Inf".to_owned(), f64::to_string);
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {sum}");
        }
        let _ = writeln!(text, "{name}_sum{{{labels}}} {}", stats.latency_sum_sec);
        let _ = writeln!(text, "{name}_count{{{labels}}} {sum}");
    }
    let name = "plimsoll_switch_unserved_total";
    head(&mut text, name, "counter", "Requests that nobody could serve.");
    let _ = writeln!(text, "{name}{{environment=\"{environment}\"}} {unserved}");
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sha() -> Commit {
        "0123456789abcdef0123456789abcdef01234567".parse().unwrap()
    }

    #[test]
    fn answers_fall_into_their_class_and_bucket() {
        let counters = DigestCounters::new(Digest::from_sha256([1; 32]), sha());
        counters.answered(204, Duration::from_micros(1000));
        counters.answered(503, Duration::from_micros(1001));
        counters.answered(101, Duration::from_secs(3600));
        counters.answered(999, Duration::ZERO);
        let stats = counters.read(false);
        assert_eq!(stats.responses, [1, 1, 0, 0, 2]);
        assert_eq!((stats.latency[0], stats.latency[1], stats.latency[BUCKETS - 1]), (2, 1, 1));
        assert_eq!((stats.requests(), stats.failures()), (4, 2));
    }

    #[test]
    fn taking_and_absorbing_loses_nothing() {
        let (mut old, mut new) = (Counters::default(), Counters::default());
        let digest = Digest::from_sha256([1; 32]);
        old.of(digest, &sha()).answered(200, Duration::from_millis(3));
        new.absorb(&old.take());
        old.of(digest, &sha()).answered(500, Duration::from_millis(3));
        new.absorb(&old.take());
        let stats = &new.stats()[0];
        assert_eq!(stats.responses, [0, 1, 0, 0, 1]);
        assert!((stats.latency_sum_sec - 0.006).abs() < 1e-9);
        assert_eq!(old.stats()[0].requests(), 0);
    }

    #[test]
    fn the_number_of_digests_is_bounded_and_those_in_use_stay() {
        let mut counters = Counters::default();
        let held = counters.of(Digest::from_sha256([255; 32]), &sha());
        for byte in 0..200 {
            counters.of(Digest::from_sha256([byte; 32]), &sha());
        }
        assert_eq!(counters.stats().len(), MAX_DIGESTS);
        assert!(counters.stats().iter().any(|stats| stats.digest == held.digest));
    }

    #[test]
    fn prometheus_buckets_are_cumulative() {
        let mut counters = Counters::default();
        let one = counters.of(Digest::from_sha256([1; 32]), &sha());
        one.answered(200, Duration::from_micros(10));
        one.answered(200, Duration::from_millis(2));
        let text = prometheus("pro\"d", &counters.stats(), 7);
        assert!(text.contains("environment=\"pro\\\"d\""));
        assert!(text.contains("le=\"0.001\"} 1\n") && text.contains("le=\"0.0025\"} 2\n"));
        assert!(text.contains("le=\"+Inf\"} 2\n") && text.contains("_total{environment=\"pro\\\"d\"} 7\n"));
    }
}
