//! `plimsoll migrate`: one file per subcommand.

mod lint;

use plimsoll_model::Failure;

use super::Session;
use crate::args::Migrate;

/// Runs one of them.
pub(crate) fn run(session: &Session, arguments: Migrate) -> Result<u8, Failure> {
    match arguments {
        Migrate::Lint(arguments) => lint::run(session, arguments),
    }
}
