//! The watch of a deployment: what is declared is looked at while both releases
//! serve, judged, and written down (DEP-6).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_config::{Environment, Metric, Target, Worse};
use plimsoll_health::{Record, Replay, Settings, Verdict as Judgement};
use plimsoll_ledger::{Filter, Ledger};
use plimsoll_model::{Event, Failure};
use plimsoll_rollout_core::machine::Verdict;
use plimsoll_rollout_core::{BoxFuture, Judge, Plan};
use plimsoll_rollout_switch::settings::read_table;
use plimsoll_watch::{Bounds, Declaration, Query, Replica, Replicas, Session, Switch};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::blocking;
use crate::context::Context;
use crate::error::PipelineError;
use crate::target::folder;

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

/// What is declared, read: of the replicas themselves, and of the switch.
pub(crate) struct Declared {
    own: Vec<Query>,
    switched: Vec<Query>,
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
    let mut declaration = Declaration::new(&metric.name, &metric.query, metric.of.as_deref());
    if metric.worse == Worse::Lower {
        declaration.worse = plimsoll_health::Worse::Lower;
    }
    declaration
}

/// The watch of one rollout.
pub(crate) struct Watching {
    ledger: Ledger,
    actor: String,
    switch: PathBuf,
    every: Duration,
    looking: Mutex<Looking>,
}

struct Looking {
    session: Session,
    next: Instant,
    last: Option<Record>,
    recorded: bool,
}

impl Watching {
    /// The watch over a plan; nothing where nothing is declared or compared.
    ///
    /// # Errors
    /// What is declared cannot be read, or no client can be made.
    pub(crate) fn of(context: &Context, plan: &Plan) -> Result<Option<Self>, Failure> {
        if plan.deadlines.compare_sec == 0 {
            return Ok(None);
        }
        let environment = context.environment(&plan.environment)?;
        let switch = folder(context, &plan.environment).join("switch");
        let stable = plan.from.as_ref().map(plimsoll_model::Release::digest);
        let mut session = Session::new(stable, plan.to.digest(), Timestamp::now());
        let every = environment.watch.as_ref().map_or(Duration::from_secs(10), |watch| watch.interval);
        let window = u32::try_from(every.as_secs()).unwrap_or(u32::MAX).max(1);
        let Declared { own, switched } = declared(environment)?;
        let metrics = |queries: &[Query]| queries.iter().map(|query| query.metric.clone()).collect();
        if !own.is_empty() {
            let names = metrics(&own);
            session = session.with(Box::new(Replicas::new(own, Bounds::default())?), names, window);
        }
        if !switched.is_empty() {
            let names = metrics(&switched);
            session = session.with(Box::new(Switch::new(&switch, switched)), names, window);
        }
        let looking = Looking { session, next: Instant::now(), last: None, recorded: false };
        Ok(Some(Self {
            ledger: context.ledger.clone(),
            actor: context.actor().to_owned(),
            switch,
            every,
            looking: Mutex::new(looking),
        }))
    }

    /// Who receives requests now, as the switch was told.
    async fn replicas(&self) -> Vec<Replica> {
        let switch = self.switch.clone();
        // A table that cannot be read shows nobody, which is no data.
        let table = blocking("reading the switch's table", move || read_table(&switch).ok().flatten()).await;
        let entries = table.ok().flatten().map(|table| table.entries).unwrap_or_default();
        entries
            .into_iter()
            .map(|entry| Replica {
                digest: entry.digest,
                name: entry.instance,
                metrics: Some(format!("http://{}/metrics", entry.address)),
                born: None,
            })
            .collect()
    }

    async fn look(&self, plan: &Plan, complete: bool) -> Verdict {
        let mut looking = self.looking.lock().await;
        if looking.last.is_none() || Instant::now() >= looking.next {
            looking.next = Instant::now() + self.every;
            let replicas = self.replicas().await;
            looking.session.look(&replicas).await;
            looking.last = Some(looking.session.judge(&Settings::default()));
        }
        let Looking { last, recorded, .. } = &mut *looking;
        let record = last.as_ref().expect("it was looked at least once");
        let sentence = record.report.sentence();
        let verdict = match record.report.verdict {
            Judgement::Regressed => Verdict::Regressed(sentence),
            Judgement::NoEvidence if complete => Verdict::NoEvidence,
            Judgement::NoEvidence | Judgement::InsufficientData => Verdict::InsufficientData(sentence),
        };
        let decides = complete || matches!(verdict, Verdict::Regressed(_));
        if decides && !std::mem::replace(recorded, true) {
            let event = Event::Watched {
                environment: plan.environment.clone(),
                sha: plan.to.sha().clone(),
                rollout: plan.rollout.clone(),
                record: serde_json::to_value(record).expect("a record has string keys only"),
            };
            let (ledger, actor) = (self.ledger.clone(), self.actor.clone());
            let written = blocking("writing the ledger", move || ledger.append(&actor, &event)).await;
            if !matches!(written, Ok(Ok(_))) {
                // Without a record the verdict still stands; the next look tries again.
                *recorded = false;
                tracing::warn!("what the watch saw could not be written to the ledger");
            }
        }
        verdict
    }
}

impl Judge for Watching {
    fn judge<'a>(&'a self, plan: &'a Plan, _: u32, complete: bool) -> BoxFuture<'a, Verdict> {
        Box::pin(self.look(plan, complete))
    }
}

/// One recorded watch, judged again.
#[derive(Debug, Clone, Serialize)]
pub struct Replayed {
    /// The ledger entry.
    pub ledger_entry: u64,
    /// When it was judged.
    pub at: Timestamp,
    /// The environment.
    pub environment: String,
    /// The rollout.
    pub rollout: String,
    /// What was said then, in a sentence.
    pub sentence: String,
    /// Whether the same is said now.
    pub same: bool,
    /// What is said now, or why it cannot be judged.
    pub now: String,
}

/// `watch replay`.
#[derive(Debug, Clone, Serialize)]
pub struct ReplayReport {
    /// Always `plimsoll/watch-replay/v1`.
    pub schema: &'static str,
    /// Newest first.
    pub watches: Vec<Replayed>,
}

/// Judges recorded watches again, over what was seen then.
///
/// # Errors
/// The ledger cannot be read, or the entry is no watch.
pub async fn replay(
    context: &Context,
    entry: Option<u64>,
    environment: Option<&str>,
    limit: u64,
) -> Result<ReplayReport, Failure> {
    let ledger = context.ledger.clone();
    let filter = Filter {
        kinds: vec!["watch.judged"],
        environment: environment.map(str::to_owned),
        ..Filter::default()
    };
    let entries = blocking("reading the ledger", move || match entry {
        Some(entry) => Ok::<_, Failure>(ledger.entry(entry)?.into_iter().collect()),
        None => Ok(ledger.entries(&filter, true, limit)?),
    })
    .await??;
    let mut watches = Vec::new();
    for found in entries {
        let Event::Watched { environment, rollout, record, .. } = found.event else {
            return Err(PipelineError::NotAWatch { entry: found.seq }.into());
        };
        let (sentence, same, now) = match serde_json::from_value::<Record>(record) {
            Ok(record) => {
                let sentence = record.report.sentence();
                match record.replay() {
                    Replay::Same => (sentence.clone(), true, sentence),
                    Replay::SameVerdict(now) => (sentence, true, now.sentence()),
                    Replay::Differs(now) => (sentence, false, now.sentence()),
                }
            }
            Err(error) => (String::new(), false, format!("it cannot be read: {error}")),
        };
        watches.push(Replayed {
            ledger_entry: found.seq,
            at: found.at,
            environment,
            rollout,
            sentence,
            same,
            now,
        });
    }
    Ok(ReplayReport { schema: "plimsoll/watch-replay/v1", watches })
}
