//! `plimsoll deploy` and `plimsoll rollback`.

mod text;

use std::time::Duration;

use plimsoll_model::Failure;
use plimsoll_model::event::RolloutKind;
use plimsoll_pipeline::policy::Approval;
use plimsoll_pipeline::{Asked, RolloutReport, RolloutRequest};

use super::{Session, commit, duration as parse_duration, metadata};
use crate::args::{Deploy, Down, Rollback, Up};
use crate::error::CliError;

pub(crate) use text::checks;

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
    session.printer.result(report, || text::text(report));
    report.class().map_or(0, plimsoll_model::Class::exit_code)
}
