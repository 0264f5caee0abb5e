//! One watch over one rollout: sources, what they have seen so far, and the
//! verdict on it.

use jiff::Timestamp;
use plimsoll_health::{Evidence, Metric, Record, Settings, Tally};
use plimsoll_model::Digest;

use crate::{Replica, Source};

/// Watches a rollout from its beginning. The old release serves only until the
/// rollout is through, so a session begins before the first replica is replaced.
pub struct Session {
    stable: Option<Digest>,
    candidate: Digest,
    started: Timestamp,
    sources: Vec<(Box<dyn Source>, Tally)>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("candidate", &self.candidate).finish_non_exhaustive()
    }
}

impl Session {
    /// Nothing is looked at before the first [`Session::look`].
    pub fn new(stable: Option<Digest>, candidate: Digest, started: Timestamp) -> Self {
        Self { stable, candidate, started, sources: Vec::new() }
    }

    /// Watches these metrics, in the order in which the source returns them,
    /// in windows of `window_sec` seconds: at least the time between two looks,
    /// and for a Prometheus server twice the time between its scrapes.
    #[must_use]
    pub fn with(mut self, source: Box<dyn Source>, metrics: Vec<Metric>, window_sec: u32) -> Self {
        let tally = Tally::new(self.stable, self.candidate, metrics, self.started, window_sec);
        self.sources.push((source, tally));
        self
    }

    /// Looks once with every source, at all replicas at the same time. Called
    /// every ten seconds, whatever came of the call before.
    pub async fn look(&mut self, replicas: &[Replica]) {
        let looks =
            futures_util::future::join_all(self.sources.iter().map(|(source, _)| source.look(replicas)));
        let looks = looks.await;
        for ((_, tally), looks) in self.sources.iter_mut().zip(looks) {
            for look in &looks {
                tally.look(look);
            }
        }
    }

    /// All that was seen so far.
    pub fn evidence(&self) -> Evidence {
        let mut all = Evidence {
            schema: plimsoll_health::EVIDENCE_SCHEMA.into(),
            stable: self.stable,
            candidate: self.candidate,
            started: self.started,
            metrics: Vec::new(),
        };
        for (_, tally) in &self.sources {
            all = all.join(tally.evidence());
        }
        all
    }

    /// The verdict on what was seen so far, with what it rests on: what goes
    /// into the ledger.
    pub fn judge(&self, settings: &Settings) -> Record {
        Record::new(self.evidence(), settings)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicI64, Ordering};

    use jiff::SignedDuration;
    use plimsoll_health::{Kind, Look, Point, Reading, Verdict};
    use plimsoll_model::Lookup;

    use super::*;
    use crate::BoxFuture;

    const NEW: Digest = Digest::from_sha256([1; 32]);
    const OLD: Digest = Digest::from_sha256([2; 32]);

    /// Sixty requests of each replica between two looks, of which so many fail
    /// in the new release.
    struct Scripted(f64, AtomicI64);

    impl Source for Scripted {
        fn look<'a>(&'a self, replicas: &'a [Replica]) -> BoxFuture<'a, Vec<Look>> {
            let round = self.1.fetch_add(1, Ordering::SeqCst);
            let point = |name: &str, value| Point { series: name.into(), bound: None, value, created: None };
            let looks = replicas.iter().map(|replica| {
                let failed = if replica.digest == NEW { self.0 } else { 0.1 };
                let reading = Reading {
                    events: vec![point("failed", (failed * round as f64).floor())],
                    exposure: vec![point("requests", 60.0 * round as f64)],
                };
                Look {
                    digest: replica.digest,
                    replica: replica.name.clone(),
                    at: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(10 * round),
                    born: None,
                    readings: vec![Lookup::Found(reading)],
                }
            });
            Box::pin(std::future::ready(looks.collect()))
        }
    }

    #[tokio::test]
    async fn sources_are_judged_together_and_one_that_regressed_decides() {
        let replicas =
            [NEW, OLD].map(|digest| Replica { digest, name: digest.short(), metrics: None, born: None });
        let metric = |name: &str| vec![Metric::new(name, Kind::Share)];
        let source = |failed| Box::new(Scripted(failed, AtomicI64::new(0)));
        for (failed, verdict) in [(6.0, Verdict::Regressed), (0.1, Verdict::NoEvidence)] {
            let mut session = Session::new(Some(OLD), NEW, Timestamp::UNIX_EPOCH)
                .with(source(0.1), metric("answers"), 10)
                .with(source(failed), metric("payouts"), 20);
            for _ in 0..90 {
                session.look(&replicas).await;
            }
            let record = session.judge(&Settings::default());
            assert_eq!(record.report.verdict, verdict, "{}", record.report.sentence());
            let metrics: Vec<_> =
                record.evidence.metrics.iter().map(|m| (m.metric.name.as_str(), m.window_sec)).collect();
            assert_eq!(metrics, [("answers", 10), ("payouts", 20)]);
        }
    }
}
