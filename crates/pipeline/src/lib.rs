//! The whole product on one screen: the only crate that knows the order of
//! the steps.
//!
//! ```text
//! commit -> image -> evidence -> decision -> rollout -> ledger
//! ```

mod admission;
mod build;
mod context;
pub mod contract;
mod drift;
mod error;
mod evidence;
mod gather;
mod image;
pub mod migrations;
pub mod policy;
mod ports;
mod presence;
pub mod release;
pub mod report;
mod rollback;
mod rollout;
pub mod sbom;
mod sign;
mod status;
mod target;
mod verify;
pub mod watch;

use std::time::{Duration, Instant};

use plimsoll_decision::{Approved, Facts, decide};
use plimsoll_model::event::{RolloutKind, RolloutOutcome};
use plimsoll_model::{Failure, Progress};
use plimsoll_rollout_core::State;

pub use admission::ImageJudge;
pub use build::{BuildRequest, build, push};
pub use context::{Context, Options, STATE_FOLDER, account, existing_ledger, open_ledger, reader};
pub use drift::drift;
pub use error::{PAGES, PipelineError};
pub use gather::Asked;
pub use image::Named;
pub use report::RolloutReport;
pub use rollback::rollback;
pub use sign::{SignReport, attest, sign};
pub use status::{show, status};
pub use target::{REPLICA_COMMAND, SWITCH_COMMAND, revive, stop};
pub use verify::{EvidenceReport, VerifyReport, VerifyRequest, verify};

/// How a rollout is asked for.
#[derive(Debug, Clone)]
pub struct RolloutRequest {
    /// What, where, and in which direction.
    pub asked: Asked,
    /// Decide and plan only.
    pub dry_run: bool,
    /// How long to wait for another rollout of the environment to end.
    pub wait: Duration,
    /// Why a release takes over that is held for a person to decide.
    pub promote: Option<String>,
}

/// Gather, decide, roll out, record: a commit into an environment.
///
/// # Errors
/// When facts cannot be gathered, the environment is locked, or the outcome
/// cannot be known. A refusal and a failed rollout are reports, not errors.
pub async fn deploy(context: &Context, request: RolloutRequest) -> Result<RolloutReport, Failure> {
    debug_assert_eq!(request.asked.rollout, RolloutKind::Deploy);
    into_environment(context, request).await
}

/// What deploy and rollback share: everything but the words (DEP-2).
async fn into_environment(context: &Context, request: RolloutRequest) -> Result<RolloutReport, Failure> {
    let started = Instant::now();
    let RolloutRequest { asked, dry_run, wait, promote } = request;
    let environment = context.environment(&asked.environment)?.clone();
    if asked.rollout == RolloutKind::Deploy {
        watch::check(context, &environment).await?;
    }
    if promote.is_some() {
        rollout::held(context, &environment.name, &asked.sha).await?;
    }
    let target = target::Running::open(context, &environment)?;
    if !dry_run {
        policy::approve(context, &asked).await?;
    }
    let deadline = started + wait;
    loop {
        let (mut report, facts, approved) = guard(context, &asked, &target, dry_run).await?;
        if dry_run {
            if let Some(approved) = &approved {
                let plan = rollout::plan(
                    context,
                    &environment,
                    approved,
                    &facts,
                    None,
                    target.side_by_side().await,
                    0,
                )?
                .record()
                .clone();
                report.watch_plan = watch::planned(&environment, &plan, target.replicas().await);
                report.plan = Some(plan);
            }
            return Ok(report.after(started.elapsed()));
        }
        let (Some(approved), Some(decision)) = (approved, report.ledger_entry) else {
            report.outcome = RolloutOutcome::Refused;
            return Ok(report.after(started.elapsed()));
        };
        // Whatever can fail without having touched anything fails now.
        let source = context.reader(&facts.environment.repository)?;
        target.prepare(context, approved.release(), &source).await?;

        let lease = rollout::lock(context, &environment.name, deadline).await?;
        // What a crashed process left is finished or undone before anything else.
        if let Some((plan, ended)) =
            rollout::settle(context, &target, &lease, &source, approved.release(), promote.as_deref()).await?
        {
            report.finished(&plan, ended);
            report.watch = watch::of_rollout(context, &plan).await?;
            report.ledger_entry = rollout::last_entry(context, &plan.rollout).await?.or(report.ledger_entry);
            return Ok(report.after(started.elapsed()));
        }
        if target::running(context, &environment.name).await? != facts.running {
            // Somebody else was faster, or what was left was finished: the
            // facts are no longer those that were decided on.
            rollout::unlock(&lease).await;
            continue;
        }
        let from_replicas = target.replicas().await;
        let side_by_side = target.side_by_side().await;
        let plan =
            rollout::plan(context, &environment, &approved, &facts, from_replicas, side_by_side, decision)?;
        let planned = watch::planned(&environment, plan.record(), from_replicas);
        if let Some(planned) = planned.filter(|_| plan.canary.is_some()) {
            let text = format!("the new release's part of the requests while both serve: {}", planned.share);
            context.observer.report(Progress::Note { text });
        }
        let outcome = rollout::drive(context, &plan, State::new(), &target, &lease, false).await?;
        report.ended(rollout::ended(&plan, &outcome)?);
        report.watch = watch::of_rollout(context, &plan).await?;
        report.ledger_entry = rollout::last_entry(context, &plan.rollout).await?.or(report.ledger_entry);
        return Ok(report.after(started.elapsed()));
    }
}

/// Gathers, decides, and writes the decision down with every fact.
async fn guard(
    context: &Context,
    asked: &Asked,
    target: &target::Running,
    dry_run: bool,
) -> Result<(RolloutReport, Facts, Option<Approved>), Failure> {
    let step = Step::start(context, "guard", format!("{} for {}", asked.sha.short(), asked.environment));
    let mut facts = gather::facts(context, asked, target).await?;
    if !dry_run {
        policy::escalate(context, &mut facts).await?;
    }
    let verdict = decide(&facts);
    step.finish(if verdict.decision.allowed { "allowed" } else { "refused" });
    let mut report = RolloutReport::of(asked, &facts, &verdict);
    if !dry_run {
        report.ledger_entry = Some(rollout::record_decision(context, &facts, &verdict.decision).await?);
    }
    Ok((report, facts, verdict.approved))
}

/// One named step's progress.
pub(crate) struct Step<'a> {
    context: &'a Context,
    name: &'static str,
    started: Instant,
}

impl<'a> Step<'a> {
    pub(crate) fn start(context: &'a Context, name: &'static str, detail: String) -> Self {
        context.observer.report(Progress::StepStarted { step: name.into(), detail });
        Self { context, name, started: Instant::now() }
    }

    pub(crate) fn finish(self, detail: impl Into<String>) {
        self.context.observer.report(Progress::StepFinished {
            step: self.name.into(),
            detail: detail.into(),
            duration_sec: self.started.elapsed().as_secs_f64(),
        });
    }
}

/// Runs blocking work on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|_| PipelineError::Lost { what }.into())
}
