//! `plimsoll deploy` and `plimsoll rollback`.

use std::time::Duration;

use plimsoll_health::Then;
use plimsoll_model::event::{RolloutKind, RolloutOutcome};
use plimsoll_model::{Decision, Failure, Outcome};
use plimsoll_pipeline::policy::Approval;
use plimsoll_pipeline::watch::{WatchPlan, WatchReport};
use plimsoll_pipeline::{Asked, RolloutReport, RolloutRequest};
use plimsoll_rollout_core::machine::Verdict;

use super::{Session, commit, duration as parse_duration, metadata};
use crate::args::{Deploy, Down, Rollback, Up};
use crate::error::CliError;
use crate::printer::{bold, columns, dim, duration, outcome_word, shorten};

/// Deploys a commit.
pub(crate) fn deploy(session: &Session, arguments: &Deploy) -> Result<u8, Failure> {
    /// The check that `--retry` answers for.
    const TAKEN_BACK: &str = "DEP-201";
    let mut approvals = arguments.approvals.given()?;
    for reason in [&arguments.retry, &arguments.promote].into_iter().flatten() {
        if reason.trim().is_empty() {
            return Err(CliError::Argument { text: reason.clone(), expected: "a reason" }.into());
        }
    }
    if let Some(reason) = &arguments.retry {
        approvals.push(Approval { code: TAKEN_BACK.into(), reason: reason.clone() });
    }
    let asked = Asked {
        sha: commit(&arguments.sha, "deployed")?,
        environment: arguments.env.clone(),
        rollout: RolloutKind::Deploy,
        metadata: metadata(arguments.metadata.as_deref())?,
        approvals,
        approve_for: arguments.approvals.long()?,
    };
    let request = RolloutRequest {
        asked,
        dry_run: arguments.dry_run,
        wait: wait(arguments.wait.as_deref())?,
        promote: arguments.promote.clone(),
    };
    let report =
        session.block_on(|context| async move { plimsoll_pipeline::deploy(&context, request).await })?;
    Ok(print(session, &report))
}

/// Goes back to a commit that was deployed before.
pub(crate) fn rollback(session: &Session, arguments: &Rollback) -> Result<u8, Failure> {
    let asked = Asked {
        sha: commit(&arguments.to, "rolled back to")?,
        environment: arguments.env.clone(),
        rollout: RolloutKind::Rollback,
        metadata: None,
        approvals: arguments.approvals.given()?,
        approve_for: arguments.approvals.long()?,
    };
    let request = RolloutRequest {
        asked,
        dry_run: arguments.dry_run,
        wait: wait(arguments.wait.as_deref())?,
        promote: None,
    };
    let report =
        session.block_on(|context| async move { plimsoll_pipeline::rollback(&context, request).await })?;
    Ok(print(session, &report))
}

/// Brings an environment back as the last rollout left it.
pub(crate) fn up(session: &Session, arguments: &Up) -> Result<u8, Failure> {
    let environment = arguments.env.clone();
    let done =
        session.block_on(|context| async move { plimsoll_pipeline::revive(&context, &environment).await })?;
    let document = serde_json::json!({
        "schema": "plimsoll/up/v1",
        "environment": arguments.env,
        "operations": done,
    });
    session.printer.result(&document, || match done.len() {
        0 => format!("{} runs as the last rollout left it", arguments.env),
        _ => done.join("\n"),
    });
    Ok(0)
}

/// Stops an environment's replicas, then its switch.
pub(crate) fn down(session: &Session, arguments: &Down) -> Result<u8, Failure> {
    let environment = arguments.env.clone();
    session.block_on(|context| async move { plimsoll_pipeline::stop(&context, &environment).await })?;
    let document = serde_json::json!({ "schema": "plimsoll/down/v1", "environment": arguments.env });
    session.printer.result(&document, || {
        format!("{0} is stopped; `plimsoll up --env {0}` brings back what served", arguments.env)
    });
    Ok(0)
}

fn wait(text: Option<&str>) -> Result<Duration, Failure> {
    Ok(text.map(parse_duration).transpose()?.unwrap_or_default())
}

fn print(session: &Session, report: &RolloutReport) -> u8 {
    session.printer.result(report, || text(report));
    report.class().map_or(0, plimsoll_model::Class::exit_code)
}

fn text(report: &RolloutReport) -> String {
    let mut text = checks(&report.decision, report.outcome == RolloutOutcome::Planned);
    if let Some(plan) = &report.plan {
        let from =
            plan.from.as_ref().map_or_else(|| "nothing".into(), |release| release.sha().short().to_owned());
        text.push_str(&format!(
            "plan: {} -> {}, {}, {} replicas, at most {} missing, within {} s\n",
            from,
            plan.to.sha().short(),
            plan.strategy,
            plan.replicas,
            plan.max_unavailable,
            plan.deadlines.rollout_sec,
        ));
    }
    if let Some(plan) = &report.watch_plan {
        text.push_str(&to_watch(plan));
    }
    text.push_str(&headline(report));
    match (&report.watch, &report.verdict) {
        (Some(watch), _) => text.push_str(&watched(watch)),
        (None, Some(Verdict::InsufficientData(why))) => {
            text.push_str(&format!("watch: insufficient data: {why}\n"));
        }
        _ => {}
    }
    if report.outcome == RolloutOutcome::Succeeded && !report.reason.is_empty() {
        text.push_str(&format!("note: {}\n", report.reason));
    }
    for line in &report.last_lines {
        text.push_str(&format!("  {} {line}\n", dim("|")));
    }
    if let Some(hint) = hint(report) {
        text.push_str(&format!("hint: {hint}\n"));
    }
    text
}

/// What will be compared, from where, and what comes of too little to see.
fn to_watch(plan: &WatchPlan) -> String {
    let then = match plan.on_insufficient_data {
        Then::Promote => "promote, not proven",
        Then::Hold => "hold for a person",
        Then::GoBack => "go back",
    };
    let wait = match plan.wait_sec {
        0 => String::new(),
        more => format!(" after {more} s more"),
    };
    let mut text = format!(
        "watch: both releases side by side for {} s, a look every {} s; too little to say: {then}{wait}\n  requests to the \
         new release: {}\n",
        plan.bake_sec, plan.interval_sec, plan.share
    );
    for metric in &plan.metrics {
        let of = metric.of.as_ref().map_or_else(|| " per second".into(), |of| format!(" of {of}"));
        text.push_str(&format!("  {}: {}{of}; {}\n", metric.name, metric.query, metric.from));
    }
    text
}

/// What was decided, and a line for each metric with its numbers and power.
fn watched(watch: &WatchReport) -> String {
    let decision = watch.decision.map_or_else(String::new, |decision| format!(": {decision}"));
    let mut text = format!("watch: {}{decision}\n", watch.verdict);
    for metric in &watch.metrics {
        text.push_str(&format!("  {}: {}. {}\n", metric.name, metric.verdict, metric.sentence));
    }
    text
}

/// Failed and doubtful checks in full; passed ones too when only deciding.
pub(crate) fn checks(decision: &Decision, all: bool) -> String {
    let shown = decision.checks.iter().filter(|check| all || check.outcome != Outcome::Pass);
    let mut text = String::new();
    let mut passed = Vec::new();
    for check in shown {
        if check.outcome == Outcome::Pass {
            passed.push(vec![
                outcome_word(check.outcome),
                check.code.clone(),
                check.name.clone(),
                dim(&shorten(&check.found)),
            ]);
            continue;
        }
        text.push_str(&format!("{} {} {}\n", outcome_word(check.outcome), bold(&check.code), check.name));
        text.push_str(&format!(
            "  expected {}\n  found    {}\n  hint     {}\n",
            check.expected, check.found, check.hint
        ));
    }
    columns(&passed) + &text
}

fn headline(report: &RolloutReport) -> String {
    let (verb, took) = match report.kind {
        RolloutKind::Deploy => ("deploy", report.deploy_duration_sec),
        RolloutKind::Rollback => ("rollback", report.rollback_duration_sec),
    };
    let took = duration(took.unwrap_or_default());
    let (sha, environment) = (report.image_sha.short(), &report.environment);
    let previous =
        report.previous_sha.as_ref().map_or_else(|| "nothing".into(), |sha| sha.short().to_owned());
    let sentence = match report.outcome {
        RolloutOutcome::Succeeded => format!("{sha} serves {environment}; before: {previous}"),
        RolloutOutcome::Refused => format!("{sha} was refused for {environment}; nothing was touched"),
        RolloutOutcome::Planned if report.decision.allowed => {
            format!("{sha} may go to {environment}; nothing was touched (--dry-run)")
        }
        RolloutOutcome::Planned => {
            format!("{sha} would be refused for {environment}; nothing was touched (--dry-run)")
        }
        RolloutOutcome::Failed => {
            format!("{sha} does not serve {environment}: {}; serving: {previous}", report.reason)
        }
        RolloutOutcome::RolledBack => {
            format!("{sha} was rolled back from {environment}: {}; serving again: {previous}", report.reason)
        }
        RolloutOutcome::Held => {
            format!("{sha} and {previous} both serve {environment}, and a person decides: {}", report.reason)
        }
    };
    let code = if report.code.is_empty() { String::new() } else { format!(" [{}]", report.code) };
    let mut text = format!("{}{code}: {sentence} ({took})\n", bold(&format!("{verb} {}", report.outcome)));
    if let (RolloutOutcome::Succeeded, Some(image)) = (report.outcome, &report.image_ref) {
        text.push_str(&format!("{}\n", bold(&image.to_string())));
    }
    text
}

fn hint(report: &RolloutReport) -> Option<String> {
    match report.outcome {
        RolloutOutcome::Failed | RolloutOutcome::RolledBack => Some(format!(
            "see `plimsoll explain {}` and `plimsoll status --env {}`",
            report.code, report.environment
        )),
        RolloutOutcome::Held => Some(format!(
            "`plimsoll deploy {0} --env {1} --promote REASON` lets it take over, the same without `--promote` compares \
             once more, and `plimsoll rollback --to {2} --env {1}` takes it back; see `plimsoll explain {3}`",
            report.image_sha,
            report.environment,
            report.previous_sha.as_ref().map_or("PREVIOUS", plimsoll_model::Commit::as_str),
            report.code
        )),
        RolloutOutcome::Refused => {
            let code = report.decision.failures().next().map(|check| check.code.clone())?;
            Some(format!("see `plimsoll explain {code}`"))
        }
        RolloutOutcome::Succeeded | RolloutOutcome::Planned => None,
    }
}
