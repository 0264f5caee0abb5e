//! VERDICT -> RUNNING: plan, lock, resume what was left, drive the machine,
//! and tell how it ended. Deploy and rollback are the same here.
//!
//! Nothing in this file can build or push: it is given a [`Reader`] through
//! [`ImageSource`] only (invariant 2; `cargo xtask tidy` looks for it).

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_config::Environment;
use plimsoll_decision::{Approved, Facts, decide};
use plimsoll_ledger::Filter;
use plimsoll_model::event::{RolloutKind, RolloutOutcome};
use plimsoll_model::{Commit, Decision, Event, Failure, Progress, Release};
use plimsoll_oci::ImageSource;
use plimsoll_rollout_core::machine::{End, LockStatus, Verdict};
use plimsoll_rollout_core::{
    Deadlines, Judge, Lease, Migrator, NoMetrics, NoMigrations, Outcome, Phase, Plan, PlanRecord, Ports,
    State, Unfinished, codes, execute,
};
use plimsoll_rollout_kubernetes::SideBySide;

use crate::blocking;
use crate::context::Context;
use crate::error::PipelineError;
use crate::migrations::deployed::ReleaseMigrations;
use crate::migrations::job::MigrationsJob;
use crate::migrations::state;
use crate::ports::{LedgerJournal, LedgerLease, Unread, WallClock};
use crate::presence::Presence;
use crate::target::{self, Running as RunningTarget};
use crate::watch::{self, Watching};

/// How long between two looks at the target, and at one that tells of changes itself:
/// there they are for the time that passes, and for when it cannot be reached.
const POLL: Duration = Duration::from_millis(100);
const POLL_TOLD: Duration = Duration::from_millis(500);

/// How one rollout ended.
pub(crate) struct Ended {
    /// How.
    pub(crate) outcome: RolloutOutcome,
    /// Code of the first cause; empty when it succeeded.
    pub(crate) code: String,
    /// The first cause; empty when it succeeded.
    pub(crate) reason: String,
    /// What going back did not get done; also at the end of `reason`.
    pub(crate) left_undone: Option<String>,
    /// Last lines of the instance that failed first.
    pub(crate) last_lines: Vec<String>,
    /// The last verdict over the whole bake time.
    pub(crate) verdict: Option<Verdict>,
}

/// The plan for an approved release. `side_by_side` says how the target can have
/// both releases serve.
pub(crate) fn plan(
    context: &Context,
    environment: &Environment,
    approved: &Approved,
    facts: &Facts,
    from_replicas: Option<u32>,
    side_by_side: SideBySide,
    decision_entry: u64,
) -> Result<Plan, Failure> {
    let created = Timestamp::now();
    let compare_sec = match facts.request.rollout {
        // What one goes back to was judged when it came.
        RolloutKind::Deploy
            if side_by_side != SideBySide::Not
                && facts.running.as_ref().is_some_and(|now| now != approved.release()) =>
        {
            watch::compare_sec(environment)
        }
        _ => 0,
    };
    let bake = environment.watch.as_ref().map(|watch| watch.bake).filter(|_| compare_sec == 0);
    let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
    let record = PlanRecord {
        rollout: rollout_name(environment, approved.release(), created),
        environment: environment.name.clone(),
        kind: facts.request.rollout,
        from: facts.running.clone(),
        to: approved.release().clone(),
        repository_type: environment.repository,
        strategy: environment.strategy,
        replicas: environment.replicas,
        from_replicas,
        max_unavailable: environment.max_unavailable,
        deadlines: Deadlines {
            rollout_sec: seconds(environment.bounds.rollout),
            compare_sec,
            bake_sec: bake.map_or(0, seconds),
            keep_sec: seconds(environment.bounds.keep_previous),
            drain_sec: seconds(environment.bounds.drain),
            probe_grace_sec: seconds(environment.bounds.probe_grace),
        },
        insufficient_data: watch::insufficient_data(environment),
        canary: watch::canary(environment).filter(|_| compare_sec > 0),
        in_place: compare_sec > 0 && side_by_side == SideBySide::InPlace,
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

/// Takes the environment's lock, waiting for another holder until `deadline`.
///
/// # Errors
/// When it is held and stays so; who holds it since when.
pub(crate) async fn lock(
    context: &Context,
    environment: &str,
    deadline: Instant,
) -> Result<LedgerLease, Failure> {
    const ASK_EVERY: Duration = Duration::from_millis(250);
    let presence = Presence::new(&target::folder(context, environment));
    let (ledger, holder) = (context.ledger.clone(), context.holder.clone());
    let lease = LedgerLease::new(ledger, environment.to_owned(), holder, presence);
    let mut said = false;
    loop {
        let who = match lease.hold().await {
            LockStatus::Held { .. } => return Ok(lease),
            LockStatus::HeldByOther { holder, since } => format!("{holder} since {since}"),
            LockStatus::Unknown(why) => return Err(PipelineError::LockUnknown { why }.into()),
            LockStatus::NotHeld | LockStatus::Lost => continue,
        };
        if context.interrupt.load(Ordering::SeqCst) {
            return Err(PipelineError::Interrupted { what: "waiting for the lock" }.into());
        }
        if Instant::now() >= deadline {
            return Err(PipelineError::Locked { environment: environment.into(), holder: who }.into());
        }
        if !said {
            context.observer.report(Progress::Note { text: format!("waiting for the lock: held by {who}") });
            said = true;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Gives the lock back.
pub(crate) async fn unlock(lease: &LedgerLease) {
    lease.release().await;
}

/// Finishes or undoes what a crashed process left in this environment. A
/// rollout of `wanted` goes on; any other is undone (DEP-2). The lock is held,
/// so what is read here is the newest there is. Returns how it ended when
/// `wanted` serves now or the watch has decided on it, so that there is nothing
/// left to do, and nothing while there is; the lock is then held again. One that
/// is held for a person takes over where `promote` says why, and is compared
/// once more otherwise.
///
/// # Errors
/// When what is recorded cannot be read or was not approved, or the target
/// cannot be brought to either end.
pub(crate) async fn settle(
    context: &Context,
    target: &RunningTarget,
    lease: &LedgerLease,
    source: &dyn ImageSource,
    wanted: &Release,
    promote: Option<&str>,
) -> Result<Option<(Plan, Ended)>, Failure> {
    let Some(left) = unfinished(context, lease.environment()).await? else { return Ok(None) };
    let held = left.state.phase == Phase::Held;
    let plan = approve_again(context, &left.plan).await?;
    let undo = plan.to != *wanted;
    // Once it is only being tidied up after, there is no way back but a rollback.
    let served = matches!(left.state.phase, Phase::Settling | Phase::Committed);
    let next = match (undo && !served, held) {
        (true, _) => "undoing it first",
        (false, false) => "finishing it first",
        (false, true) if promote.is_some() => "it takes over now",
        (false, true) => "comparing once more",
    };
    let was = if held { "held" } else { "interrupted" };
    let text = format!("rollout {} by {} was {was}; {next}", plan.rollout, plan.actor);
    context.observer.report(Progress::Note { text });
    // Undoing needs what served before; that is here, since it served.
    if !undo {
        target.prepare(context, &plan.to, source).await?;
    }
    let state = match promote.filter(|_| !undo) {
        Some(reason) => left.state.promoted(reason),
        None => left.state,
    };
    let outcome = drive(context, &plan, state, target, lease, undo).await?;
    let ended = ended(&plan, &outcome)?;
    // What the watch decided on it is not asked again by beginning anew.
    if plan.to == *wanted && (ended.outcome != RolloutOutcome::Failed || ended.code == codes::NOT_PROVEN) {
        return Ok(Some((plan, ended)));
    }
    // Its end gave the lock back; what is to come needs it again.
    match lease.hold().await {
        LockStatus::Held { .. } => Ok(None),
        LockStatus::HeldByOther { holder, since } => Err(PipelineError::Locked {
            environment: lease.environment().into(),
            holder: format!("{holder} since {since}"),
        }
        .into()),
        LockStatus::Unknown(why) => Err(PipelineError::LockUnknown { why }.into()),
        LockStatus::NotHeld | LockStatus::Lost => {
            Err(PipelineError::LockUnknown { why: "it was lost at once".into() }.into())
        }
    }
}

/// Refuses to promote what is not held: nothing is decided on yet, or another
/// commit waits for a person.
///
/// # Errors
/// When that is so, or the ledger cannot be read.
pub(crate) async fn held(context: &Context, environment: &str, sha: &Commit) -> Result<(), Failure> {
    let left = unfinished(context, environment).await?;
    let held = left.filter(|left| left.state.phase == Phase::Held).map(|left| left.plan.to.sha().clone());
    if held.as_ref() == Some(sha) {
        return Ok(());
    }
    let (environment, sha, held) = (environment.into(), sha.to_string(), held.map(|sha| sha.to_string()));
    Err(PipelineError::NotHeld { environment, sha, held }.into())
}

/// A rollout without an end, and the ledger entry of its start.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    pub(crate) entry: u64,
    pub(crate) left: Unfinished,
}

/// The rollout of an environment that has no end in the ledger.
pub(crate) async fn unfinished(context: &Context, environment: &str) -> Result<Option<Unfinished>, Failure> {
    Ok(open(context, environment).await?.map(|open| open.left))
}

/// The same, with its entry.
pub(crate) async fn open(context: &Context, environment: &str) -> Result<Option<Open>, Failure> {
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
        None => State { phase: Phase::Locked, ..State::new() },
    };
    Ok(Some(Open { entry: newest.entry, left: Unfinished { plan, state } }))
}

/// The approval of a recorded plan: decided again over the recorded facts,
/// which gives the same verdict for ever (invariants 1 and 3).
async fn approve_again(context: &Context, record: &PlanRecord) -> Result<Plan, Failure> {
    let not_approved = || PipelineError::NotApproved {
        environment: record.environment.clone(),
        rollout: record.rollout.clone(),
    };
    let facts = decided_on(context, record).await?.ok_or_else(not_approved)?;
    let approved = decide(&facts).approved.ok_or_else(not_approved)?;
    Ok(Plan::new(&approved, record.clone()).map_err(|_| not_approved())?)
}

/// The facts of the decision that a plan rests on, if its entry is one.
async fn decided_on(context: &Context, record: &PlanRecord) -> Result<Option<Facts>, Failure> {
    let (ledger, entry) = (context.ledger.clone(), record.decision_entry);
    let entry = blocking("reading the ledger", move || ledger.entry(entry)).await??;
    let Some(Event::Decided { facts, .. }) = entry.map(|entry| entry.event) else { return Ok(None) };
    let facts = serde_json::from_value(facts).map_err(|source| PipelineError::Unreadable {
        environment: record.environment.clone(),
        rollout: record.rollout.clone(),
        source,
    })?;
    Ok(Some(facts))
}

/// Runs the machine until it ends.
pub(crate) async fn drive(
    context: &Context,
    plan: &Plan,
    state: State,
    target: &RunningTarget,
    lease: &LedgerLease,
    undo: bool,
) -> Result<Outcome, Failure> {
    let environment = plan.environment.clone();
    let journal =
        LedgerJournal { ledger: context.ledger.clone(), actor: context.actor().to_owned(), environment };
    let declared =
        context.environment(&plan.environment)?.watch.as_ref().is_some_and(|watch| !watch.metrics.is_empty());
    let migrations = migrations(context, plan, target).await?;
    let watching = match Watching::of(context, plan, target).await {
        Ok(watching) => watching,
        Err(failure) => {
            unlock(lease).await;
            return Err(failure);
        }
    };
    let judge: &dyn Judge = match &watching {
        Some(watching) => watching,
        None if declared && plan.kind == RolloutKind::Deploy && plan.from.is_some() => &Unread,
        None => &NoMetrics,
    };
    let undoing = std::sync::atomic::AtomicBool::new(true);
    let ports = Ports {
        target: target.target(),
        journal: &journal,
        lease,
        judge,
        migrator: migrations.as_ref().map_or(&NoMigrations as &dyn Migrator, |migrations| migrations),
        clock: &WallClock,
        observer: &*context.observer,
        interrupt: if undo { &undoing } else { &context.interrupt },
        poll: if target.kubernetes().is_some() { POLL_TOLD } else { POLL },
    };
    Ok(execute(plan, state, ports).await?)
}

/// The migrations that the decision let through; none of a rollback.
async fn migrations<'a>(
    context: &'a Context,
    plan: &Plan,
    target: &'a RunningTarget,
) -> Result<Option<ReleaseMigrations<'a>>, Failure> {
    if plan.kind == RolloutKind::Rollback {
        return Ok(None);
    }
    let schema = decided_on(context, plan).await?.and_then(|facts| facts.schema);
    let job = state::job(context.environment(&plan.environment)?);
    let job = job
        .zip(target.kubernetes())
        .map(|(job, cluster)| MigrationsJob::new(context, cluster, job, plan, schema.as_ref()));
    Ok((schema.is_some() || job.is_some())
        .then(|| ReleaseMigrations::new(context, &plan.environment, plan.to.sha(), schema, job)))
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
            reason: {
                let left = outcome.state.incomplete.iter().map(|left| format!("left undone: {left}"));
                let promoted =
                    outcome.state.promoted.iter().map(|why| format!("promoted by a person: {why}"));
                promoted.chain(left).collect::<Vec<_>>().join("; ")
            },
            left_undone: None,
            last_lines: Vec::new(),
            verdict: outcome.state.verdict.clone(),
        }),
        (End::Reverted, _) => {
            let stop = outcome.state.stop.clone();
            let (code, mut reason, last_lines) =
                stop.map_or_else(Default::default, |stop| (stop.code, stop.reason, stop.last_lines));
            if let Some(incomplete) = &outcome.state.incomplete {
                reason.push_str(&format!("; left undone: {incomplete}"));
            }
            let (verdict, left_undone) = (outcome.state.verdict.clone(), outcome.state.incomplete.clone());
            let outcome = outcome.state.outcome(plan).unwrap_or(RolloutOutcome::Failed);
            Ok(Ended { outcome, code, reason, left_undone, last_lines, verdict })
        }
        (End::Held(stop), _) => Ok(Ended {
            outcome: RolloutOutcome::Held,
            code: stop.code.clone(),
            reason: stop.reason.clone(),
            left_undone: None,
            last_lines: Vec::new(),
            verdict: outcome.state.verdict.clone(),
        }),
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
