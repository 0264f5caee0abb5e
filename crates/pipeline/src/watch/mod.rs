//! The watch of a deployment: what is declared is looked at while both releases
//! serve, judged, and written down with what was decided on it (DEP-6).

mod declared;
mod looking;
mod planned;
mod replay;
mod report;
mod serving;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_config::{MetricsVia, Target};
use plimsoll_health::{Count, Decided, Kind, MetricReport, Record, Settings, Verdict as Judgement};
use plimsoll_ledger::Ledger;
use plimsoll_model::progress::MetricRow;
use plimsoll_model::{Event, Failure, Progress};
use plimsoll_rollout_core::machine::Verdict;
use plimsoll_rollout_core::{BoxFuture, Judge, Plan};
use plimsoll_watch::{Bounds, Query, Replicas, Session, Switch};
use tokio::time::Instant;

use crate::blocking;
use crate::context::Context;
use crate::target::{Running as RunningTarget, folder};
use looking::{Looking, Rhythm};
use serving::Serving;

use declared::Declared;
pub(crate) use declared::{canary, check, compare_sec, insufficient_data};
pub(crate) use planned::planned;
pub use planned::{PlannedMetric, WatchPlan};
pub use replay::{ReplayReport, Replayed, replay};
pub(crate) use report::of_rollout;
pub use report::{WatchReport, WatchedMetric};

/// The watch of one rollout.
pub(crate) struct Watching {
    ledger: Ledger,
    actor: String,
    looking: Looking,
    /// What the last verdict rests on.
    judged: Mutex<Option<Arc<Record>>>,
}

impl Watching {
    /// The watch over a plan; nothing where nothing is declared or compared.
    ///
    /// # Errors
    /// What is declared cannot be read, where it is looked at cannot be reached,
    /// or no client can be made.
    pub(crate) async fn of(
        context: &Context,
        plan: &Plan,
        target: &RunningTarget,
    ) -> Result<Option<Self>, Failure> {
        if plan.deadlines.compare_sec == 0 {
            return Ok(None);
        }
        let environment = context.environment(&plan.environment)?;
        let switch = folder(context, &plan.environment).join("switch");
        let (serving, via) = match (target.cluster(), &environment.target) {
            (Some(cluster), Target::Kubernetes(configured)) => {
                (Serving::pods(cluster, configured), configured.metrics_via)
            }
            _ => (Serving::Switch(switch.clone()), MetricsVia::Pod),
        };
        let releases: Vec<_> = plan.from.iter().chain([&plan.to]).map(declared::told).collect();
        let stable = plan.from.as_ref().map(plimsoll_model::Release::digest);
        let (began, started) = (Instant::now(), Timestamp::now());
        let mut session = Session::new(stable, plan.to.digest(), started);
        let every = environment.watch.as_ref().map_or(Duration::from_secs(10), |watch| watch.interval);
        // At least the time between two looks, in whole seconds.
        let window = |length: Duration| length.as_secs_f64().ceil().max(1.0) as u32;
        let Declared { replicas, switch: switched, prometheus, traces } = Declared::of(environment)?;
        let metrics = |queries: &[Query]| queries.iter().map(|query| query.metric.clone()).collect();
        if !replicas.is_empty() {
            let names = metrics(&replicas);
            let source = serving.reached(Replicas::new(replicas, Bounds::default())?, via);
            session = session.with(Box::new(source), names, window(every));
        }
        if !switched.is_empty() {
            let names = metrics(&switched);
            session = session.with(Box::new(Switch::new(&switch, switched)), names, window(every));
        }
        let names = prometheus.iter().map(|expression| expression.metric.clone()).collect();
        if let Some(server) = declared::prometheus(context, environment, prometheus, releases.clone()).await?
        {
            let scraped = environment.watch.as_ref().and_then(|watch| watch.prometheus.as_ref());
            let scraped = scraped.map_or(Duration::ZERO, |server| server.scrape_interval * 2);
            session = session.with(Box::new(server), names, window(every.max(scraped)));
        }
        let names = metrics(&traces);
        if let Some(spans) = declared::spans(environment, traces, releases).await? {
            let text = format!("spans are received on {} while both releases serve", spans.address());
            context.observer.report(Progress::Note { text });
            session = session.with(Box::new(spans), names, window(every));
        }
        let mut settings = Settings::default();
        if let Some(watch) = &environment.watch {
            settings.persist_sec = watch.persist.as_secs_f64();
        }
        Ok(Some(Self {
            ledger: context.ledger.clone(),
            actor: context.actor().to_owned(),
            looking: Looking::begin(session, serving, settings, Rhythm { began, every }),
            judged: Mutex::default(),
        }))
    }

    fn judged(&self) -> MutexGuard<'_, Option<Arc<Record>>> {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&self) -> Verdict {
        let Some(record) = self.looking.newest().await else {
            return Verdict::InsufficientData("nobody looks at the metrics any more".into());
        };
        let report = &record.report;
        let verdict = match report.verdict {
            Judgement::Regressed => Verdict::Regressed(report.sentence()),
            Judgement::NoEvidence => Verdict::NoEvidence,
            Judgement::InsufficientData => Verdict::InsufficientData(report.sentence()),
        };
        *self.judged() = Some(record);
        verdict
    }

    async fn keep(&self, plan: &Plan, decided: &Decided) {
        // What is seen from now on decides nothing any more.
        self.looking.end();
        let Some(record) = self.judged().clone() else { return };
        let mut record = Record::clone(&record);
        record.decided = Some(*decided);
        let event = Event::Watched {
            environment: plan.environment.clone(),
            sha: plan.to.sha().clone(),
            rollout: plan.rollout.clone(),
            record: serde_json::to_value(record).expect("a record has string keys only"),
        };
        let (ledger, actor) = (self.ledger.clone(), self.actor.clone());
        let written = blocking("writing the ledger", move || ledger.append(&actor, &event)).await;
        if !matches!(written, Ok(Ok(_))) {
            // Without a record the decision still stands, which is written as a step.
            tracing::warn!("what the watch saw could not be written to the ledger");
        }
    }
}

impl Judge for Watching {
    fn judge<'a>(&'a self, _: &'a Plan, _: u32, _: bool) -> BoxFuture<'a, Verdict> {
        Box::pin(self.look())
    }

    fn record<'a>(&'a self, plan: &'a Plan, decided: &'a Decided) -> BoxFuture<'a, ()> {
        Box::pin(self.keep(plan, decided))
    }

    fn counts(&self) -> Vec<MetricRow> {
        let judged = self.judged();
        judged.iter().flat_map(|record| &record.report.metrics).map(counted).collect()
    }
}

/// A metric's counts as a person follows them.
fn counted(report: &MetricReport) -> MetricRow {
    let count = |count: &Count| match report.metric.kind {
        Kind::Rate => format!("{:.0} in {:.0} s", count.events, count.exposure),
        _ => format!("{:.0} of {:.0}", count.events, count.exposure),
    };
    MetricRow {
        name: report.metric.name.clone(),
        verdict: match report.verdict {
            Judgement::Regressed => "regressed",
            Judgement::NoEvidence => "no evidence",
            Judgement::InsufficientData => "insufficient data",
        }
        .into(),
        stable: count(&report.stable),
        candidate: count(&report.candidate),
    }
}
