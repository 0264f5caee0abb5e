//! VERDICT -> RUNNING: plan, lock, resume what was left, drive the machine,
//! and tell how it ended. Deploy and rollback are the same here.
//!
//! Nothing in this file can build or push: it is given a [`Reader`] through
//! [`ImageSource`] only (invariant 2; `cargo xtask tidy` looks for it).

use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_config::Environment;
use plimsoll_decision::{Approved, Facts, decide};
use plimsoll_ledger::Filter;
use plimsoll_model::event::{RolloutKind, RolloutOutcome};
use plimsoll_model::{Decision, Event, Failure, Progress, Release};
use plimsoll_oci::ImageSource;
use plimsoll_rollout_core::machine::End;
use plimsoll_rollout_core::{
    Deadlines, NoMetrics, NoMigrations, Outcome, Plan, PlanRecord, Ports, State, Unfinished, execute,
};

use crate::blocking;
use crate::context::Context;
use crate::error::PipelineError;
use crate::ports::{LedgerJournal, LedgerLease, Unread, WallClock};
use crate::target::Running as RunningTarget;

/// How long between two looks at the target.
const POLL: Duration = Duration::from_millis(100);

/// How one rollout ended.
pub(crate) struct Ended {
    /// How.
    pub(crate) outcome: RolloutOutcome,
    /// Code of the first cause; empty when it succeeded.
    pub(crate) code: String,
    /// The first cause; empty when it succeeded.
    pub(crate) reason: String,
    /// Last lines of the instance that failed first.
    pub(crate) last_lines: Vec<String>,
}

/// The plan for an approved release.
pub(crate) fn plan(
    context: &Context,
    environment: &Environment,
    approved: &Approved,
    kind: RolloutKind,
    from: Option<&Release>,
    decision_entry: u64,
) -> Result<Plan, Failure> {
    let created = Timestamp::now();
    let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
    let record = PlanRecord {
        rollout: rollout_name(environment, approved.release(), created),
        environment: environment.name.clone(),
        kind,
        from: from.cloned(),
        to: approved.release().clone(),
        repository_type: environment.repository,
        strategy: environment.strategy,
        replicas: environment.replicas,
        from_replicas: None,
        max_unavailable: environment.max_unavailable,
        deadlines: Deadlines {
            rollout_sec: seconds(environment.bounds.rollout),
            bake_sec: environment.watch.as_ref().map_or(0, |watch| seconds(watch.bake)),
            keep_sec: seconds(environment.bounds.keep_previous),
            drain_sec: seconds(environment.bounds.drain),
            probe_grace_sec: seconds(environment.bounds.probe_grace),
        },
        actor: context.actor().to_owned(),
        created,
        decision_entry,
    };
    let rollout = record.rollout.clone();
    Plan::new(approved, record)
        .map_err(|_| PipelineError::NotApproved { environment: environment.name.clone(), rollout }.into())
}

/// `production-3f2a9c01b7d4-20261122T182000.123Z`: sorts by time, says what it is.
fn rollout_name(environment: &Environment, release: &Release, at: Timestamp) -> String {
    let time = at.strftime("%Y%m%dT%H%M%S%.3fZ");
    format!("{}-{}-{time}", environment.name, release.sha().short())
}

/// Waits until nobody else holds the environment's lock, or says who does.
///
/// # Errors
/// When it is held and stays so for `wait`.
pub(crate) async fn wait_for_lock(
    context: &Context,
    environment: &str,
    wait: Duration,
) -> Result<(), Failure> {
    let deadline = Instant::now() + wait;
    let mut said = false;
    loop {
        let (ledger, name) = (context.ledger.clone(), environment.to_owned());
        let holder = blocking("reading the lock", move || ledger.holder(&name)).await??;
        let Some(lock) = holder.filter(|lock| lock.lease_until > Timestamp::now()) else { return Ok(()) };
        let who = format!("{} since {}, lease until {}", lock.holder, lock.since, lock.lease_until);
        if Instant::now() >= deadline {
            return Err(PipelineError::Locked { environment: environment.into(), holder: who }.into());
        }
        if !said {
            context.observer.report(Progress::Note { text: format!("waiting for the lock: held by {who}") });
            said = true;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Finishes or undoes what a crashed process left in this environment. A
/// rollout of `wanted` goes on; any other is undone first (DEP-2).
///
/// # Errors
/// When what is recorded cannot be read or was not approved, or the target
/// cannot be brought to either end.
pub(crate) async fn settle(
    context: &Context,
    environment: &Environment,
    target: &RunningTarget,
    source: &dyn ImageSource,
    wanted: &Release,
) -> Result<Option<(PlanRecord, Ended)>, Failure> {
    let Some(left) = unfinished(context, &environment.name).await? else { return Ok(None) };
    let plan = approve_again(context, &left.plan).await?;
    let text = format!(
        "rollout {} by {} was interrupted; {} it first",
        plan.rollout,
        plan.actor,
        if plan.to == *wanted { "finishing" } else { "undoing" }
    );
    context.observer.report(Progress::Note { text });
    let undo = plan.to != *wanted;
    target
        .prepare(context, &plan.to, source)
        .await
        .or_else(|failure| if undo { Ok(()) } else { Err(failure) })?;
    let outcome = drive(context, &plan, left.state, target, undo).await?;
    let ended = ended(&plan, &outcome)?;
    Ok(Some((plan.record().clone(), ended)))
}

/// The rollout of an environment that has no end in the ledger.
pub(crate) async fn unfinished(context: &Context, environment: &str) -> Result<Option<Unfinished>, Failure> {
    let (ledger, name) = (context.ledger.clone(), environment.to_owned());
    let open = blocking("reading the ledger", move || ledger.unfinished(Some(&name))).await??;
    let Some(newest) = open.into_iter().max_by_key(|left| left.entry) else { return Ok(None) };
    let unreadable = |source| PipelineError::Unreadable {
        environment: newest.environment.clone(),
        rollout: newest.rollout.clone(),
        source,
    };
    let plan = serde_json::from_value(newest.plan.clone()).map_err(unreadable)?;
    let state = match &newest.last_step {
        Some(step) => serde_json::from_value(step.state.clone()).map_err(unreadable)?,
        None => State { phase: plimsoll_rollout_core::Phase::Locked, ..State::new() },
    };
    Ok(Some(Unfinished { plan, state }))
}

/// The approval of a recorded plan: decided again over the recorded facts,
/// which gives the same verdict for ever (invariants 1 and 3).
async fn approve_again(context: &Context, record: &PlanRecord) -> Result<Plan, Failure> {
    let not_approved = || PipelineError::NotApproved {
        environment: record.environment.clone(),
        rollout: record.rollout.clone(),
    };
    let (ledger, entry) = (context.ledger.clone(), record.decision_entry);
    let entry = blocking("reading the ledger", move || ledger.entry(entry)).await??;
    let Some(Event::Decided { facts, .. }) = entry.map(|entry| entry.event) else {
        return Err(not_approved().into());
    };
    let facts: Facts = serde_json::from_value(facts).map_err(|source| PipelineError::Unreadable {
        environment: record.environment.clone(),
        rollout: record.rollout.clone(),
        source,
    })?;
    let approved = decide(&facts).approved.ok_or_else(not_approved)?;
    Ok(Plan::new(&approved, record.clone()).map_err(|_| not_approved())?)
}

/// Runs the machine until it ends.
pub(crate) async fn drive(
    context: &Context,
    plan: &Plan,
    state: State,
    target: &RunningTarget,
    undo: bool,
) -> Result<Outcome, Failure> {
    let environment = plan.environment.clone();
    let journal = LedgerJournal {
        ledger: context.ledger.clone(),
        actor: context.actor().to_owned(),
        environment: environment.clone(),
    };
    let lease = LedgerLease::new(context.ledger.clone(), environment, context.holder.clone());
    let declared =
        context.environment(&plan.environment)?.watch.as_ref().is_some_and(|watch| !watch.metrics.is_empty());
    let undoing = std::sync::atomic::AtomicBool::new(true);
    let ports = Ports {
        target: target.target(),
        journal: &journal,
        lease: &lease,
        judge: if declared { &Unread } else { &NoMetrics },
        migrator: &NoMigrations,
        clock: &WallClock,
        observer: &*context.observer,
        interrupt: if undo { &undoing } else { &context.interrupt },
        poll: POLL,
    };
    Ok(execute(plan, state, ports).await?)
}

/// An outcome as the report shows it.
///
/// # Errors
/// When it did not begin or another process owns the environment now: then
/// nothing is known to report.
pub(crate) fn ended(plan: &Plan, outcome: &Outcome) -> Result<Ended, Failure> {
    match (&outcome.end, outcome.error(plan)) {
        (End::Committed, _) => Ok(Ended {
            outcome: RolloutOutcome::Succeeded,
            code: String::new(),
            reason: String::new(),
            last_lines: Vec::new(),
        }),
        (End::Reverted, _) => {
            let stop = outcome.state.stop.clone();
            let (code, mut reason, last_lines) =
                stop.map_or_else(Default::default, |stop| (stop.code, stop.reason, stop.last_lines));
            if let Some(incomplete) = &outcome.state.incomplete {
                reason.push_str(&format!("; left undone: {incomplete}"));
            }
            let outcome = outcome.state.outcome(plan).unwrap_or(RolloutOutcome::Failed);
            Ok(Ended { outcome, code, reason, last_lines })
        }
        (_, Some(error)) => Err(error.into()),
        (End::NotStarted(_) | End::LockLost(_), None) => {
            Err(PipelineError::Lost { what: "the rollout" }.into())
        }
    }
}

/// The newest entry about a rollout, for the report.
pub(crate) async fn last_entry(context: &Context, rollout: &str) -> Result<Option<u64>, Failure> {
    let filter = Filter { rollout: Some(rollout.to_owned()), ..Filter::default() };
    let ledger = context.ledger.clone();
    let entries = blocking("reading the ledger", move || ledger.entries(&filter, true, 1)).await??;
    Ok(entries.first().map(|entry| entry.seq))
}

/// Writes the guard's decision down, with every fact.
pub(crate) async fn record_decision(
    context: &Context,
    facts: &Facts,
    decision: &Decision,
) -> Result<u64, Failure> {
    let event = Event::Decided {
        environment: facts.request.environment.clone(),
        sha: facts.request.sha.clone(),
        rollout: facts.request.rollout,
        facts: serde_json::to_value(facts).expect("facts have string keys and no failing serialisers"),
        decision: decision.clone(),
    };
    let (ledger, actor) = (context.ledger.clone(), context.actor().to_owned());
    let receipt = blocking("writing the ledger", move || ledger.append(&actor, &event)).await??;
    Ok(receipt.seq)
}
