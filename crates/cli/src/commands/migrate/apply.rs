//! `plimsoll migrate apply`.

use plimsoll_model::Failure;

use super::{Session, request};
use crate::args::RunMigrations;

/// Runs what the plan allows, and prints what ran and what waits.
pub(super) fn run(session: &Session, arguments: RunMigrations) -> Result<u8, Failure> {
    let request = request(arguments)?;
    let report = session.block_on(|context| async move {
        plimsoll_pipeline::migrations::run::apply(&context, request).await
    })?;
    session.printer.result(&report, || match report.ledger_entry {
        Some(entry) => format!("{}\nledger entry {entry}", report.report.text().trim_end()),
        None => report.report.text(),
    });
    Ok(0)
}
