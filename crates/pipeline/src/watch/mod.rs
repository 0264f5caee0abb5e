//! The watch of a deployment: what is declared is looked at while both releases
//! serve, judged, and written down with what was decided on it (DEP-6).

mod declared;
mod planned;
mod replay;
mod report;
mod serving;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_config::{MetricsVia, Target};
use plimsoll_health::{Count, Decided, Kind, MetricReport, Record, Settings, Verdict as Judgement};
use plimsoll_ledger::Ledger;
use plimsoll_model::progress::MetricRow;
use plimsoll_model::{Event, Failure, Progress};
use plimsoll_rollout_core::machine::Verdict;
use plimsoll_rollout_core::{BoxFuture, Judge, Plan};
use plimsoll_watch::{Bounds, Query, Replicas, Session, Switch};
use tokio::sync::Mutex;

use crate::blocking;
use crate::context::Context;
use crate::target::{Running as RunningTarget, folder};
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
    serving: Serving,
    every: Duration,
    looking: Mutex<Looking>,
}

struct Looking {
    session: Session,
    next: Instant,
    last: Option<Record>,
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
        let mut session = Session::new(stable, plan.to.digest(), Timestamp::now());
        let every = environment.watch.as_ref().map_or(Duration::from_secs(10), |watch| watch.interval);
        let window = |length: Duration| u32::try_from(length.as_secs()).unwrap_or(u32::MAX).max(1);
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
        let looking = Looking { session, next: Instant::now(), last: None };
        Ok(Some(Self {
            ledger: context.ledger.clone(),
            actor: context.actor().to_owned(),
            serving,
            every,
            looking: Mutex::new(looking),
        }))
    }

    async fn look(&self) -> Verdict {
        let mut looking = self.looking.lock().await;
        if looking.last.is_none() || Instant::now() >= looking.next {
            looking.next = Instant::now() + self.every;
            let replicas = self.serving.replicas().await;
            looking.session.look(&replicas).await;
            looking.last = Some(looking.session.judge(&Settings::default()));
        }
        let report = &looking.last.as_ref().expect("it was looked at least once").report;
        match report.verdict {
            Judgement::Regressed => Verdict::Regressed(report.sentence()),
            Judgement::NoEvidence => Verdict::NoEvidence,
            Judgement::InsufficientData => Verdict::InsufficientData(report.sentence()),
        }
    }

    async fn keep(&self, plan: &Plan, decided: &Decided) {
        let Some(mut record) = self.looking.lock().await.last.clone() else { return };
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
        // Somebody looks just now: the next report has what comes of it.
        let Ok(looking) = self.looking.try_lock() else { return Vec::new() };
        let metrics = looking.last.iter().flat_map(|record| &record.report.metrics);
        metrics.map(counted).collect()
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
