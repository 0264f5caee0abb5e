//! What a watch will look at, for `--dry-run`.

use plimsoll_config::{Environment, Metric, Source, Watch};
use plimsoll_health::Then;
use plimsoll_model::Strategy;
use plimsoll_rollout_core::PlanRecord;
use serde::Serialize;

/// What is to be compared while both releases serve.
#[derive(Debug, Clone, Serialize)]
pub struct WatchPlan {
    /// For how long, in seconds.
    pub bake_sec: u32,
    /// How long to go on after that where too little was seen, in seconds.
    pub wait_sec: u32,
    /// What is to happen then.
    pub on_insufficient_data: Then,
    /// The new release's part of the requests, in words.
    pub share: String,
    /// Between two looks, in seconds.
    pub interval_sec: f64,
    /// What is looked at, as declared.
    pub metrics: Vec<PlannedMetric>,
}

/// One metric, and where it is read.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedMetric {
    /// What it is called.
    pub name: String,
    /// Selector or expression of the events.
    pub query: String,
    /// That of the denominator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// `replicas`, `switch`, `prometheus` or `traces`.
    pub source: &'static str,
    /// The source in words, with its address where that is known.
    pub from: String,
}

/// What the plan's watch will look at; nothing where nothing is compared.
///
/// `old` are the replicas that serve now, where that is known.
pub(crate) fn planned(environment: &Environment, plan: &PlanRecord, old: Option<u32>) -> Option<WatchPlan> {
    let watch = environment.watch.as_ref().filter(|_| plan.deadlines.compare_sec > 0)?;
    Some(WatchPlan {
        bake_sec: plan.deadlines.compare_sec,
        wait_sec: plan.insufficient_data.wait_sec,
        on_insufficient_data: plan.insufficient_data.then,
        share: share(plan, old),
        interval_sec: watch.interval.as_secs_f64(),
        metrics: watch.metrics.iter().map(|metric| of_metric(watch, metric)).collect(),
    })
}

/// The part that is asked for and, where requests follow the instances, the one
/// that it comes to. Pods of an autoscaler may be others by then.
fn share(plan: &PlanRecord, old: Option<u32>) -> String {
    let by_cluster = plan.canary.is_some_and(|canary| canary.by_instances);
    let old = old.or(plan.from_replicas).unwrap_or(plan.replicas).max(1);
    // A cluster's own number counts, for both.
    let new = if by_cluster { old } else { plan.replicas };
    let by_pods =
        |new: u32| format!("{new} beside {old}, {:.0} %", 100.0 * f64::from(new) / f64::from(new + old));
    let alike = match plan.strategy {
        Strategy::Rolling => 1,
        Strategy::BlueGreen => new,
    };
    if plan.in_place {
        let new = plan.canary.map_or(1, |canary| canary.instances_of(old));
        let asked = plan.canary.map(|canary| format!("{} % asked for; ", f64::from(canary.permille) / 10.0));
        return format!(
            "{}the last {new} of {old} pods, {:.0} %",
            asked.unwrap_or_default(),
            100.0 * f64::from(new) / f64::from(old)
        );
    }
    match plan.canary {
        None => format!("in proportion to the replicas: {}", by_pods(alike)),
        Some(canary) if !canary.by_instances => format!("{} %", f64::from(canary.permille) / 10.0),
        Some(canary) => {
            let pods = match plan.strategy {
                Strategy::Rolling => canary.instances(old, new),
                Strategy::BlueGreen => alike,
            };
            format!("{} % asked for; by pods {}", f64::from(canary.permille) / 10.0, by_pods(pods))
        }
    }
}

fn of_metric(watch: &Watch, metric: &Metric) -> PlannedMetric {
    let (source, from) = match metric.source {
        Source::Replicas => ("replicas", "each replica's own metrics".to_owned()),
        Source::Switch => ("switch", "the traffic switch".into()),
        Source::Prometheus => {
            let server = watch.prometheus.as_ref();
            let words = server.map(|s| format!("the Prometheus server at {}, by label {}", s.url, s.label));
            ("prometheus", words.unwrap_or_default())
        }
        Source::Traces => {
            let traces = watch.traces.as_ref();
            let words = traces.map(|t| format!("spans received on {}, by {}", t.listen, t.attribute));
            ("traces", words.unwrap_or_default())
        }
    };
    PlannedMetric {
        name: metric.name.clone(),
        query: metric.query.clone(),
        of: metric.of.clone(),
        source,
        from,
    }
}
