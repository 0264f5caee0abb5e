//! `plimsoll metrics`: derived from the ledger, so they survive every process.

use std::io::Write;
use std::path::Path;

use plimsoll_config::Config;
use plimsoll_model::Failure;
use plimsoll_pipeline::open_ledger;
use serde_json::json;

use super::Session;
use crate::args::Metrics;
use crate::error::CliError;

/// Prints Prometheus text, or replaces a file of the textfile collector at once.
pub(crate) fn run(session: &Session, arguments: &Metrics) -> Result<u8, Failure> {
    let config = Config::load(&session.directory(), &session.overlays())?;
    let text = open_ledger(&config)?.metrics()?;
    match &arguments.textfile {
        Some(path) => {
            replace(path, &text).map_err(|source| CliError::File {
                action: "write",
                path: path.clone(),
                source,
            })?;
            session.printer.note(&format!("wrote {}", path.display()));
        }
        None => {
            session.printer.result(&json!({ "schema": "plimsoll/metrics/v1", "text": text }), || text.clone())
        }
    }
    Ok(0)
}

/// A collector that reads in the middle must see the old file or the new one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new().prefix(".plimsoll-metrics").tempfile_in(folder)?;
    temporary.write_all(text.as_bytes())?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    temporary.as_file().set_permissions(readable)?;
    temporary.persist(path).map(drop).map_err(|error| error.error)
}
