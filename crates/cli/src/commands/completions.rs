//! `plimsoll completions` and `plimsoll man`.

use clap::CommandFactory;
use plimsoll_model::Failure;

use super::Session;
use crate::args::{Cli, Completions, Man};
use crate::error::CliError;

/// Prints a completion script.
pub(crate) fn completions(session: &Session, arguments: &Completions) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "plimsoll", &mut script);
    session.printer.text(String::from_utf8_lossy(&script).trim_end());
    Ok(0)
}

/// Writes one page for the program and one for each command.
pub(crate) fn man(session: &Session, arguments: &Man) -> Result<u8, Failure> {
    let folder = session.directory().join(&arguments.folder);
    let failed = |source| CliError::File { action: "write", path: folder.clone(), source };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &folder).map_err(failed)?;
    session.printer.note(&format!("man pages written to {}", folder.display()));
    Ok(0)
}
