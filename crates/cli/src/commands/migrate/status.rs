//! `plimsoll migrate status`.

use plimsoll_model::Failure;

use super::{Session, which};
use crate::args::Which;

/// Prints where every migration stands.
pub(super) fn run(session: &Session, arguments: Which) -> Result<u8, Failure> {
    let request = which(arguments);
    let status = session.block_on(|context| async move {
        plimsoll_pipeline::migrations::run::status(&context, request).await
    })?;
    session.printer.result(&status, || status.text());
    Ok(0)
}
