//! What an environment declares to be watched, read before anything moves.

use plimsoll_config::{Environment, Metric, OnInsufficientData, Target, Worse};
use plimsoll_health::{Effect, InsufficientData, Latency, Then};
use plimsoll_model::Failure;
use plimsoll_watch::{Declaration, Query};

/// How the counters of the switch are called.
const OF_SWITCH: &str = "plimsoll_switch_";

/// How long both releases of a deployment are to serve side by side, in seconds.
pub(crate) fn compare_sec(environment: &Environment) -> u32 {
    let single_host = !matches!(environment.target, Target::Kubernetes(_));
    match &environment.watch {
        Some(watch) if single_host && !watch.metrics.is_empty() => {
            u32::try_from(watch.bake.as_secs()).unwrap_or(u32::MAX)
        }
        _ => 0,
    }
}

/// What is to happen when comparing shows too little to say.
pub(crate) fn insufficient_data(environment: &Environment) -> InsufficientData {
    let Some(watch) = &environment.watch else { return InsufficientData::default() };
    InsufficientData {
        wait_sec: u32::try_from(watch.wait.as_secs()).unwrap_or(u32::MAX),
        then: match watch.on_insufficient_data {
            OnInsufficientData::Promote => Then::Promote,
            OnInsufficientData::Hold => Then::Hold,
            OnInsufficientData::GoBack => Then::GoBack,
        },
    }
}

/// What is declared, read: of the replicas themselves, and of the switch.
pub(crate) struct Declared {
    pub(super) own: Vec<Query>,
    pub(super) switched: Vec<Query>,
}

/// Reads what is declared, before anything moves.
///
/// # Errors
/// A selector is none, or what is declared contradicts itself.
pub(crate) fn declared(environment: &Environment) -> Result<Declared, Failure> {
    let mut declared = Declared { own: Vec::new(), switched: Vec::new() };
    for metric in environment.watch.iter().flat_map(|watch| &watch.metrics) {
        let query = Query::new(&declaration(metric))?;
        let of_switch = metric.query.starts_with(OF_SWITCH);
        if of_switch { &mut declared.switched } else { &mut declared.own }.push(query);
    }
    Ok(declared)
}

fn declaration(metric: &Metric) -> Declaration {
    let latency = metric.bound.map(Latency::Above).or(metric.quantile.map(Latency::Quantile));
    Declaration {
        worse: match metric.worse {
            Worse::Higher => plimsoll_health::Worse::Higher,
            Worse::Lower => plimsoll_health::Worse::Lower,
        },
        latency,
        effect: Effect { ratio: metric.min_ratio, excess: metric.min_excess },
        limit: metric.limit,
        ..Declaration::new(&metric.name, &metric.query, metric.of.as_deref())
    }
}
