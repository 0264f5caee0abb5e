//! `plimsoll migrate`: one file per subcommand.

mod adopt;
mod apply;
mod backfill;
mod lint;
mod plan;
mod status;

use plimsoll_model::Failure;
use plimsoll_pipeline::migrations::run::RunRequest;
use plimsoll_rollout_migrate::Timeouts;

use super::Session;
use crate::args::{Migrate, RunMigrations, Which};
use crate::error::CliError;

/// Runs one of them.
pub(crate) fn run(session: &Session, arguments: Migrate) -> Result<u8, Failure> {
    match arguments {
        Migrate::Lint(arguments) => lint::run(session, arguments),
        Migrate::Plan(arguments) => plan::run(session, arguments),
        Migrate::Apply(arguments) => apply::run(session, arguments),
        Migrate::Backfill(arguments) => backfill::run(session, arguments),
        Migrate::Status(arguments) => status::run(session, arguments),
        Migrate::Adopt(arguments) => adopt::run(session, arguments),
    }
}

fn which(which: Which) -> RunRequest {
    RunRequest {
        release: which.release,
        environment: which.env,
        finished: which.finished.into_iter().collect(),
        ..RunRequest::default()
    }
}

fn request(arguments: RunMigrations) -> Result<RunRequest, CliError> {
    let statement = arguments.statement_timeout.as_deref().map(super::duration).transpose()?;
    let placeholders = arguments.placeholders.into_iter().map(|text| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(CliError::Argument { text, expected: "a name and a value, NAME=VALUE" }),
    });
    Ok(RunRequest {
        allow: arguments.allow.into_iter().collect(),
        placeholders: placeholders.collect::<Result<_, _>>()?,
        in_order: arguments.in_order,
        strict_missing: arguments.strict,
        beside_other_tool: arguments.beside_other_tool,
        lock_timeout: arguments.lock_timeout.as_deref().map(super::duration).transpose()?,
        statement_timeout: statement,
        timeouts: Timeouts {
            attempts: arguments.attempts,
            runner: super::duration(&arguments.wait)?,
            ..Timeouts::default()
        },
        ..which(arguments.which)
    })
}
