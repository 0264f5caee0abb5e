//! `plimsoll watch replay`.

use plimsoll_model::{Class, Failure};
use plimsoll_pipeline::watch::ReplayReport;

use super::Session;
use crate::args::Watch;
use crate::printer::{bold, pass_word};

/// Judges again; exit 4 where something else comes out.
pub(crate) fn run(session: &Session, arguments: Watch) -> Result<u8, Failure> {
    let Watch::Replay { entry, env, limit } = arguments;
    let report = session.block_on(|context| async move {
        plimsoll_pipeline::watch::replay(&context, entry, env.as_deref(), limit).await
    })?;
    session.printer.result(&report, || text(&report));
    let same = report.watches.iter().all(|watch| watch.same);
    Ok(if same { 0 } else { Class::Integrity.exit_code() })
}

fn text(report: &ReplayReport) -> String {
    if report.watches.is_empty() {
        return "no watch is recorded; `[environments.NAME.watch]` declares what is compared\n".into();
    }
    let mut text = String::new();
    for watch in &report.watches {
        text.push_str(&format!(
            "{}  {}  entry {}  {}\n      {}\n",
            pass_word(watch.same),
            watch.at.strftime("%Y-%m-%d %H:%M:%SZ"),
            watch.ledger_entry,
            bold(&watch.rollout),
            watch.sentence,
        ));
        if !watch.same {
            text.push_str(&format!("  now {}\n", watch.now));
        }
    }
    text
}
