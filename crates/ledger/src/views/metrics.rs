//! The ledger as Prometheus text (OBS-2): counters and histograms that survive
//! every process, because they are counted from the entries.
//!
//! Text exposition format 0.0.4. Families are in a fixed order and series are
//! sorted, so that the same ledger gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::ControlFlow;

use jiff::Timestamp;
use serde::Deserialize;

use crate::store::Query;
use crate::views::verification::COVERAGE_WINDOW;
use crate::{Error, Ledger};

/// Upper bounds in seconds; the target of 600 is one of them.
const BUILD_BUCKETS: &[f64] = &[1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0];
/// The target of 300 is one of them.
const DEPLOY_BUCKETS: &[f64] = &[1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];
/// The target of 120 is one of them.
const ROLLBACK_BUCKETS: &[f64] = &[1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// All that is read of a recorded watch.
#[derive(Deserialize)]
struct Judged {
    body: Watched,
}

#[derive(Deserialize)]
struct Watched {
    record: Recorded,
}

#[derive(Deserialize)]
struct Recorded {
    report: Said,
}

#[derive(Deserialize)]
struct Said {
    verdict: String,
}

type Counter = BTreeMap<Vec<String>, u64>;

#[derive(Default)]
struct Histogram {
    series: BTreeMap<String, Vec<f64>>,
}

impl Histogram {
    fn observe(&mut self, label: &str, seconds: f64) {
        self.series.entry(label.into()).or_default().push(seconds);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn labels(names: &[&str], values: &[String]) -> String {
    let pairs: Vec<_> =
        names.iter().zip(values).map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn counter(out: &mut String, name: &str, help: &str, names: &[&str], counter: &Counter) {
    head(out, name, "counter", help);
    for (values, count) in counter {
        let _ = writeln!(out, "{name}{} {count}", labels(names, values));
    }
}

fn gauge(out: &mut String, name: &str, help: &str, by_environment: &BTreeMap<String, f64>) {
    head(out, name, "gauge", help);
    for (environment, value) in by_environment {
        let _ =
            writeln!(out, "{name}{} {value}", labels(&["environment"], std::slice::from_ref(environment)));
    }
}

fn histogram(out: &mut String, name: &str, help: &str, label: &str, buckets: &[f64], of: &Histogram) {
    head(out, name, "histogram", help);
    for (value, seconds) in &of.series {
        let value = escaped(value);
        for bound in buckets {
            let below = seconds.iter().filter(|s| *s <= bound).count();
            let _ = writeln!(out, "{name}_bucket{{{label}=\"{value}\",le=\"{bound:?}\"}} {below}");
        }
        let count = seconds.len();
        let _ = writeln!(out, "{name}_bucket{{{label}=\"{value}\",le=\"+Inf\"}} {count}");
        let _ = writeln!(out, "{name}_sum{{{label}=\"{value}\"}} {}", seconds.iter().fold(0.0, |a, b| a + b));
        let _ = writeln!(out, "{name}_count{{{label}=\"{value}\"}} {count}");
    }
}

impl Ledger {
    /// The metrics, as text for a scrape, a textfile or a push.
    ///
    /// # Errors
    /// `LED-004`, `LED-011`.
    pub fn metrics(&self) -> Result<String, Error> {
        let types = ["canonical", "staging"];
        // Both types from the start: a series that appears with its first
        // increment hides that increment from `rate()`.
        let zero = || -> Counter { types.iter().map(|t| (vec![(*t).to_owned()], 0)).collect() };
        let (mut builds, mut build_failures) = (zero(), zero());
        let (mut rollbacks, mut rollback_failures) = (zero(), zero());
        let mut deploys = Counter::new();
        let mut environments = BTreeSet::new();
        let (mut build_sec, mut deploy_sec, mut rollback_sec) =
            (Histogram::default(), Histogram::default(), Histogram::default());
        for kind in types {
            build_sec.series.entry(kind.into()).or_default();
        }
        let query = Query {
            kinds: vec!["build.finished", "build.failed", "rollout.finished"],
            without_body: true,
            ..Query::default()
        };
        self.scan(&query, &mut |row| {
            let p = row.projection;
            let add = |counter: &mut Counter, labels: &[&str]| {
                *counter.entry(labels.iter().map(|l| (*l).to_owned()).collect()).or_default() += 1;
            };
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            let (kind, outcome) = (text(&p.repository_type), text(&p.outcome));
            let environment = text(&row.environment);
            let seconds = p.duration_sec.unwrap_or_default();
            match (row.kind.as_str(), p.direction.as_deref()) {
                ("build.finished", _) => {
                    add(&mut builds, &[&kind]);
                    build_sec.observe(&kind, seconds);
                }
                ("build.failed", _) => add(&mut build_failures, &[&kind]),
                (_, Some("rollback")) => match outcome.as_str() {
                    "succeeded" => {
                        add(&mut rollbacks, &[&kind]);
                        rollback_sec.observe(&environment, seconds);
                    }
                    "failed" | "rolled_back" => add(&mut rollback_failures, &[&kind]),
                    _ => {}
                },
                _ => {
                    environments.insert(environment.clone());
                    add(&mut deploys, &[&environment, &outcome]);
                    if outcome == "succeeded" {
                        deploy_sec.observe(&environment, seconds);
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let refused = Query {
            kinds: vec!["decision"],
            outcome: Some("refused"),
            without_body: true,
            ..Query::default()
        };
        self.scan(&refused, &mut |row| {
            if row.projection.direction.as_deref() == Some("deploy") {
                let labels = vec![row.environment.unwrap_or_default(), "refused".into()];
                *deploys.entry(labels).or_default() += 1;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let verdicts = self.watch_verdicts()?;
        let entries = Counter::from([(Vec::new(), self.size()?)]);
        let (mut released, mut signed, mut ratio) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (mut escalated, mut softened) = (BTreeMap::new(), BTreeMap::new());
        for environment in environments {
            let samples = self.signature_samples(&environment, COVERAGE_WINDOW)?;
            let (all, with) = (samples.len() as f64, samples.iter().filter(|s| s.signed).count() as f64);
            ratio.insert(environment.clone(), if samples.is_empty() { 0.0 } else { with / all });
            released.insert(environment.clone(), all);
            signed.insert(environment.clone(), with);
            let clicked = self.escalation(&environment)?.is_some();
            let soft =
                self.softening(&environment)?.is_some_and(|softening| softening.until > Timestamp::now());
            softened.insert(environment.clone(), f64::from(u8::from(soft)));
            escalated.insert(environment, f64::from(u8::from(clicked)));
        }

        let mut out = String::new();
        let o = &mut out;
        let by_type = &["repository_type"];
        counter(o, "image_build_total", "Images built.", by_type, &builds);
        counter(o, "image_build_failures_total", "Builds that failed.", by_type, &build_failures);
        counter(o, "rollback_total", "Rollbacks that succeeded.", by_type, &rollbacks);
        counter(o, "rollback_failures_total", "Rollbacks that failed.", by_type, &rollback_failures);
        counter(o, "deploy_total", "Deployments by how they ended.", &["environment", "outcome"], &deploys);
        counter(
            o,
            "plimsoll_watch_verdicts_total",
            "Releases that were compared with what served, by what the watch said.",
            &["environment", "verdict"],
            &verdicts,
        );
        histogram(
            o,
            "image_build_duration_seconds",
            "How long builds took that ended well.",
            "repository_type",
            BUILD_BUCKETS,
            &build_sec,
        );
        histogram(
            o,
            "deploy_duration_seconds",
            "How long deployments took that succeeded.",
            "environment",
            DEPLOY_BUCKETS,
            &deploy_sec,
        );
        histogram(
            o,
            "rollback_duration_seconds",
            "How long rollbacks took that succeeded.",
            "environment",
            ROLLBACK_BUCKETS,
            &rollback_sec,
        );
        gauge(o, "signature_releases", "Releases deployed last, over which coverage is taken.", &released);
        gauge(o, "signature_signed_releases", "Those of them whose signature verified.", &signed);
        gauge(o, "signature_coverage_ratio", "Share of them, 0 to 1.", &ratio);
        gauge(
            o,
            "signature_verification_escalated",
            "1 once coverage has made verification mandatory.",
            &escalated,
        );
        gauge(
            o,
            "signature_verification_softened",
            "1 while somebody has taken that back for a time.",
            &softened,
        );
        counter(o, "plimsoll_ledger_entries_total", "Entries in the ledger.", &[], &entries);
        Ok(out)
    }

    /// What recorded watches said. Their records are the largest entries; only
    /// the verdict is read of each.
    fn watch_verdicts(&self) -> Result<Counter, Error> {
        let mut verdicts = Counter::new();
        let query = Query { kinds: vec!["watch.judged"], ..Query::default() };
        self.scan(&query, &mut |row| {
            // One of another version's form is counted, too.
            let verdict = serde_json::from_slice::<Judged>(&row.body)
                .map_or("unknown".to_owned(), |judged| judged.body.record.report.verdict);
            *verdicts.entry(vec![row.environment.unwrap_or_default(), verdict]).or_default() += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(verdicts)
    }
}
