//! `plimsoll stats`: how long things take, against their targets (OBS-4).

use plimsoll_config::Config;
use plimsoll_model::Failure;
use plimsoll_pipeline::open_ledger;
use serde_json::json;

use super::Session;
use crate::printer::{bold, columns, duration};

/// Prints p50, p95 and max of build, deploy and rollback.
pub(crate) fn run(session: &Session) -> Result<u8, Failure> {
    let config = Config::load(&session.directory(), &session.overlays())?;
    let stats = open_ledger(&config)?.stats(None)?;
    let document = json!({
        "schema": "plimsoll/stats/v1",
        "build": stats.build,
        "deploy": stats.deploy,
        "rollback": stats.rollback,
    });
    session.printer.result(&document, || {
        let head = ["", "count", "failed", "p50", "p95", "max", "target p95", ""].map(bold).to_vec();
        let shown = |seconds: Option<f64>| seconds.map_or_else(|| "-".into(), duration);
        let rows = [("build", &stats.build), ("deploy", &stats.deploy), ("rollback", &stats.rollback)];
        let rows = rows.into_iter().map(|(name, row)| {
            vec![
                name.to_owned(),
                row.count.to_string(),
                row.failed.to_string(),
                shown(row.p50_sec),
                shown(row.p95_sec),
                shown(row.max_sec),
                duration(row.target_sec),
                match row.within_target {
                    Some(true) => "met".into(),
                    Some(false) => "MISSED".into(),
                    None => "nothing measured".into(),
                },
            ]
        });
        columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
    });
    Ok(0)
}
