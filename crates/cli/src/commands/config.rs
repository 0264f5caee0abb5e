//! `plimsoll config show`.

use plimsoll_config::Config;
use plimsoll_model::Failure;
use serde_json::json;

use super::Session;
use crate::args::ConfigCommand;
use crate::printer::{columns, dim};

/// Prints every value in force, secrets masked.
pub(crate) fn run(session: &Session, arguments: &ConfigCommand) -> Result<u8, Failure> {
    let ConfigCommand::Show { origin } = arguments;
    let loaded = Config::load(&session.directory(), &session.overlays())?;
    let document = json!({
        "schema": "plimsoll/config/v1",
        "file": loaded.file,
        "values": loaded.show(),
    });
    session.printer.result(&document, || {
        let rows: Vec<_> = loaded
            .show()
            .iter()
            .map(|row| {
                let mut cells = vec![row.key.clone(), row.value.clone()];
                if *origin {
                    cells.push(dim(&row.origin.to_string()));
                }
                cells
            })
            .collect();
        columns(&rows)
    });
    Ok(0)
}
