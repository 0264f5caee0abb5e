//! The look at what runs, again and again, in the background (DEP-8).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_pipeline::Context;
use plimsoll_pipeline::report::Drift;

use crate::metrics::Metrics;

/// Looks at one environment for ever: one look after the other, each with an
/// end, never two servers at the same moment.
pub(crate) async fn keep(context: Context, environment: String, metrics: Arc<Metrics>) {
    let (every, within) = {
        let serve = &context.config.config.serve;
        (serve.drift_interval, serve.drift_timeout)
    };
    let mut last = None;
    loop {
        let looking = plimsoll_pipeline::drift(&context, &environment);
        let seen = match tokio::time::timeout(within, looking).await {
            Ok(Ok(drift)) => drift,
            Ok(Err(failure)) => Drift::Unknown { reason: failure.to_string() },
            Err(_) => Drift::Unknown { reason: format!("no answer within {} s", within.as_secs_f64()) },
        };
        let (differences, words) = summary(&seen);
        metrics.drift(&environment, differences, Timestamp::now());
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
            last = Some(words);
        }
        tokio::time::sleep(jittered(every, fastrand::f64())).await;
    }
}

/// How many differences there are, where that is known, and in words.
fn summary(drift: &Drift) -> (Option<usize>, String) {
    match drift {
        Drift::None { .. } => (Some(0), String::new()),
        Drift::Drifted { differences, .. } => (
            Some(differences.len()),
            differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        ),
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
        assert_eq!(summary(&Drift::None { ready: 2 }).0, Some(0));
        let drifted = Drift::Drifted {
            differences: vec!["a".into(), "b".into()],
            kinds: std::collections::BTreeMap::default(),
            details: Vec::new(),
        };
        assert_eq!(summary(&drifted), (Some(2), "a; b".into()));
        assert_eq!(summary(&Drift::Unknown { reason: "away".into() }).0, None);
    }

    #[test]
    fn looks_are_spread() {
        let minute = Duration::from_secs(60);
        assert_eq!(jittered(minute, 0.0).as_millis(), 54_000);
        assert_eq!(jittered(minute, 1.0).as_millis(), 66_000);
    }
}
