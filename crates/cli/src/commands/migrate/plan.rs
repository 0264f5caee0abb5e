//! `plimsoll migrate plan`.

use plimsoll_model::{Class, Failure};
use plimsoll_rollout_migrate::State;

use super::{Session, request};
use crate::args::RunMigrations;

/// Prints what an apply would do; the exit code is what it would refuse with.
pub(super) fn run(session: &Session, arguments: RunMigrations) -> Result<u8, Failure> {
    let request = request(arguments)?;
    let plan = session.block_on(|context| async move {
        plimsoll_pipeline::migrations::run::plan(&context, request).await
    })?;
    session.printer.result(&plan, || plan.text());
    let edited = plan.plan().in_state(State::Edited).next().is_some();
    Ok(match (plan.plan().allowed, edited) {
        (true, _) => 0,
        (false, true) => Class::Integrity.exit_code(),
        (false, false) => Class::Refused.exit_code(),
    })
}
