//! The look at what runs, again and again, in the background (DEP-8).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_pipeline::Context;
use plimsoll_pipeline::report::{Drift, DriftKind};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::metrics::Metrics;

/// What was logged last of each environment.
type Said = Arc<Mutex<BTreeMap<String, String>>>;

/// Looks at every environment of the configuration in use, for ever. With each
/// change of it the looks begin anew: at what is configured now, as often as is
/// configured now, and at once.
pub(crate) async fn keep(mut contexts: watch::Receiver<Context>, metrics: Arc<Metrics>) {
    let said = Said::default();
    loop {
        let context = contexts.borrow_and_update().clone();
        let environments = &context.config.config.environments;
        metrics.looks_at(|name| environments.contains_key(name));
        said.lock().expect("no holder of this lock panics").retain(|name, _| environments.contains_key(name));
        let mut looks = JoinSet::new();
        for name in environments.keys() {
            looks.spawn(look(context.clone(), name.clone(), metrics.clone(), said.clone()));
        }
        if contexts.changed().await.is_err() {
            return;
        }
        // None of before may tell what it saw once the others have begun.
        looks.shutdown().await;
    }
}

/// Looks at one environment for ever: one look after the other, each with an
/// end, never two servers at the same moment.
async fn look(context: Context, environment: String, metrics: Arc<Metrics>, said: Said) {
    let (every, within) = {
        let serve = &context.config.config.serve;
        (serve.drift_interval, serve.drift_timeout)
    };
    loop {
        let looking = plimsoll_pipeline::drift(&context, &environment);
        let seen = match tokio::time::timeout(within, looking).await {
            Ok(Ok(drift)) => drift,
            Ok(Err(failure)) => Drift::Unknown { reason: failure.to_string() },
            Err(_) => Drift::Unknown { reason: format!("no answer within {} s", within.as_secs_f64()) },
        };
        let (differences, words) = summary(&seen);
        metrics.drift(&environment, differences, Timestamp::now());
        let last =
            said.lock().expect("no holder of this lock panics").insert(environment.clone(), words.clone());
        if last.as_ref() != Some(&words) {
            match &seen {
                Drift::None { .. } if last.is_none() => {}
                Drift::None { .. } => tracing::info!(%environment, "what runs is what the ledger says"),
                Drift::Drifted { .. } => {
                    tracing::warn!(%environment, drift = %words, "what runs is not what the ledger says")
                }
                Drift::Unknown { .. } => {
                    tracing::warn!(%environment, why = %words, "whether what runs has drifted is not known")
                }
            }
        }
        tokio::time::sleep(jittered(every, fastrand::f64())).await;
    }
}

/// How many differences there are of each kind, where that is known, and in words.
fn summary(drift: &Drift) -> (Option<BTreeMap<DriftKind, usize>>, String) {
    match drift {
        Drift::None { .. } => (Some(BTreeMap::new()), String::new()),
        Drift::Drifted { differences, kinds, .. } => (Some(kinds.clone()), differences.join("; ")),
        Drift::Unknown { reason, .. } => (None, format!("unknown: {reason}")),
    }
}

/// Give or take a tenth; `at` is from 0 to 1.
fn jittered(every: Duration, at: f64) -> Duration {
    every.mul_f64(0.9 + 0.2 * at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_has_no_number() {
        assert_eq!(summary(&Drift::None { ready: 2, rollout: None }).0, Some(BTreeMap::new()));
        let kinds = BTreeMap::from([(DriftKind::Older, 2)]);
        let drifted = Drift::Drifted {
            differences: vec!["a".into(), "b".into()],
            kinds: kinds.clone(),
            details: Vec::new(),
            rollout: None,
        };
        assert_eq!(summary(&drifted), (Some(kinds), "a; b".into()));
        assert_eq!(summary(&Drift::Unknown { reason: "away".into() }).0, None);
    }

    #[test]
    fn looks_are_spread() {
        let minute = Duration::from_secs(60);
        assert_eq!(jittered(minute, 0.0).as_millis(), 54_000);
        assert_eq!(jittered(minute, 1.0).as_millis(), 66_000);
    }
}
