//! Recorded watches, judged and decided again over what was seen then.

use jiff::Timestamp;
use plimsoll_health::{Record, Replay};
use plimsoll_ledger::Filter;
use plimsoll_model::{Event, Failure};
use serde::Serialize;

use crate::blocking;
use crate::context::Context;
use crate::error::PipelineError;

/// One recorded watch, judged again.
#[derive(Debug, Clone, Serialize)]
pub struct Replayed {
    /// The ledger entry.
    pub ledger_entry: u64,
    /// When it was judged.
    pub at: Timestamp,
    /// The environment.
    pub environment: String,
    /// The rollout.
    pub rollout: String,
    /// What was said then, in a sentence.
    pub sentence: String,
    /// Whether the same is said now.
    pub same: bool,
    /// What is said now, or why it cannot be judged.
    pub now: String,
}

/// `watch replay`.
#[derive(Debug, Clone, Serialize)]
pub struct ReplayReport {
    /// Always `plimsoll/watch-replay/v1`.
    pub schema: &'static str,
    /// Newest first.
    pub watches: Vec<Replayed>,
}

/// Judges recorded watches again, over what was seen then.
///
/// # Errors
/// The ledger cannot be read, or the entry is no watch.
pub async fn replay(
    context: &Context,
    entry: Option<u64>,
    environment: Option<&str>,
    limit: u64,
) -> Result<ReplayReport, Failure> {
    let ledger = context.ledger.clone();
    let filter = Filter {
        kinds: vec!["watch.judged"],
        environment: environment.map(str::to_owned),
        ..Filter::default()
    };
    let entries = blocking("reading the ledger", move || match entry {
        Some(entry) => Ok::<_, Failure>(ledger.entry(entry)?.into_iter().collect()),
        None => Ok(ledger.entries(&filter, true, limit)?),
    })
    .await??;
    let mut watches = Vec::new();
    for found in entries {
        let Event::Watched { environment, rollout, record, .. } = found.event else {
            return Err(PipelineError::NotAWatch { entry: found.seq }.into());
        };
        let (sentence, same, now) = match serde_json::from_value::<Record>(record) {
            Ok(record) => {
                let sentence = record.report.sentence();
                match record.replay() {
                    Replay::Same => (sentence.clone(), true, sentence),
                    Replay::SameVerdict(now) => (sentence, true, now.sentence()),
                    Replay::Differs(now) => (sentence, false, now.sentence()),
                }
            }
            Err(error) => (String::new(), false, format!("it cannot be read: {error}")),
        };
        watches.push(Replayed {
            ledger_entry: found.seq,
            at: found.at,
            environment,
            rollout,
            sentence,
            same,
            now,
        });
    }
    Ok(ReplayReport { schema: "plimsoll/watch-replay/v1", watches })
}
