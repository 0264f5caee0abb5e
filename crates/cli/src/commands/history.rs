//! `plimsoll history`.

use plimsoll_config::Config;
use plimsoll_ledger::views::HistoryRow;
use plimsoll_model::Failure;
use plimsoll_pipeline::open_ledger;
use serde_json::json;

use super::Session;
use crate::args::History;
use crate::printer::{columns, dim, duration};

/// Prints builds, deployments and rollbacks, newest first.
pub(crate) fn run(session: &Session, arguments: &History) -> Result<u8, Failure> {
    let config = Config::load(&session.directory(), &session.overlays())?;
    if let Some(name) = &arguments.env {
        config.config.environment(name)?;
    }
    let limit = u64::try_from(arguments.limit).unwrap_or(u64::MAX);
    let rows = open_ledger(&config)?.history(arguments.env.as_deref(), limit)?;
    let document = json!({ "schema": "plimsoll/history/v1", "history": rows });
    session.printer.result(&document, || match rows.is_empty() {
        true => "nothing has happened yet; begin with `plimsoll build`".into(),
        false => columns(&rows.iter().map(cells).collect::<Vec<_>>()),
    });
    Ok(0)
}

fn cells(row: &HistoryRow) -> Vec<String> {
    let what = format!("{:?}", row.what).to_lowercase();
    vec![
        row.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        what,
        row.environment
            .clone()
            .unwrap_or_else(|| row.repository_type.map(|t| t.to_string()).unwrap_or_default()),
        row.sha.as_ref().map(|sha| sha.short().to_owned()).unwrap_or_default(),
        row.outcome.replace('_', " "),
        row.duration_sec.map(duration).unwrap_or_default(),
        row.by.clone(),
        dim(&row.reason),
    ]
}
