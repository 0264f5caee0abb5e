//! What the watch of a rollout said, for its report.

use plimsoll_health::{Count, Decision, Interval, MetricReport, Record, Verdict};
use plimsoll_ledger::Filter;
use plimsoll_model::{Event, Failure};
use plimsoll_rollout_core::Plan;
use serde::Serialize;

use crate::blocking;
use crate::context::Context;

/// The watch of one rollout, as it was recorded.
#[derive(Debug, Clone, Serialize)]
pub struct WatchReport {
    /// One metric that regressed decides for all; otherwise one with too little.
    pub verdict: Verdict,
    /// What was decided on it; absent in what older versions recorded.
    #[serde(flatten)]
    pub decision: Option<Decision>,
    /// For how long both releases served side by side, in seconds.
    pub watched_sec: u32,
    /// The ledger entry with all that was seen.
    pub ledger_entry: u64,
    /// Metric by metric, as declared.
    pub metrics: Vec<WatchedMetric>,
}

/// The verdict on one metric, with its numbers.
#[derive(Debug, Clone, Serialize)]
pub struct WatchedMetric {
    /// What it is called.
    pub name: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, with the numbers and the power that it had, in words.
    pub sentence: String,
    /// Events and exposure of the new release.
    pub new: Count,
    /// Events and exposure of the old one.
    pub old: Count,
    /// For how long both were seen at the same time, in seconds.
    pub side_by_side_sec: u32,
    /// The new release's rate over the old one's, with its interval of 95 %;
    /// absent without any event.
    pub ratio: Option<Interval>,
    /// The strongest evidence that it is worse.
    pub evidence: f64,
    /// How much would have been enough.
    pub needed: f64,
    /// The probability that a threefold rise would have been seen.
    pub power_threefold: f64,
    /// The probability that a tenfold rise would have been seen.
    pub power_tenfold: f64,
}

impl WatchedMetric {
    fn of(report: &MetricReport) -> Self {
        Self {
            name: report.metric.name.clone(),
            verdict: report.verdict,
            sentence: report.why(),
            new: report.candidate,
            old: report.stable,
            side_by_side_sec: report.side_by_side_sec,
            ratio: report.ratio,
            evidence: report.e_value,
            needed: (1.0 / report.alpha).round(),
            power_threefold: report.power.threefold,
            power_tenfold: report.power.tenfold,
        }
    }
}

/// Watches of one commit that are looked through.
const MOST: u64 = 20;

/// The newest watch of a rollout; nothing where none was recorded.
///
/// # Errors
/// When the ledger cannot be read. A record of a newer version is left out.
pub(crate) async fn of_rollout(context: &Context, plan: &Plan) -> Result<Option<WatchReport>, Failure> {
    if plan.deadlines.compare_sec == 0 {
        return Ok(None);
    }
    let filter = Filter {
        kinds: vec!["watch.judged"],
        environment: Some(plan.environment.clone()),
        sha: Some(plan.to.sha().clone()),
        ..Filter::default()
    };
    let ledger = context.ledger.clone();
    let entries = blocking("reading the ledger", move || ledger.entries(&filter, true, MOST)).await??;
    let of_plan = entries.into_iter().find_map(|entry| match entry.event {
        Event::Watched { rollout, record, .. } if rollout == plan.rollout => Some((entry.seq, record)),
        _ => None,
    });
    let Some((ledger_entry, record)) = of_plan else { return Ok(None) };
    let Ok(record) = serde_json::from_value::<Record>(record) else {
        tracing::warn!(ledger_entry, "the record of the watch cannot be read");
        return Ok(None);
    };
    Ok(Some(WatchReport {
        verdict: record.report.verdict,
        decision: record.decided.map(|decided| decided.decision),
        watched_sec: record.decided.map_or(0, |decided| decided.watched_sec),
        ledger_entry,
        metrics: record.report.metrics.iter().map(WatchedMetric::of).collect(),
    }))
}
