//! `plimsoll migrate adopt`.

use plimsoll_model::Failure;

use super::{Session, which};
use crate::args::Adopt;

/// Takes over what another tool recorded, and prints which files that are.
pub(super) fn run(session: &Session, arguments: Adopt) -> Result<u8, Failure> {
    let request = which(arguments.which);
    let accept = arguments.accept.into_iter().collect();
    let report = session.block_on(|context| async move {
        plimsoll_pipeline::migrations::run::adopt(&context, request, arguments.through, accept).await
    })?;
    session.printer.result(&report, || report.text());
    Ok(0)
}
