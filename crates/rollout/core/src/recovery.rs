//! Finding in the ledger what an interrupted process left behind.

use plimsoll_model::Event;

use crate::machine::Phase;
use crate::{PlanRecord, State};

/// A rollout that began and has no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Its plan; decide again over the recorded facts to carry it on.
    pub plan: PlanRecord,
    /// The newest state recorded.
    pub state: State,
}

/// The rollout of an environment that has to be finished or undone before
/// anything else happens there, from the environment's events, oldest first.
///
/// # Errors
/// When a recorded plan or state cannot be read: unknown, never "none".
pub fn unfinished<'a>(
    events: impl IntoIterator<Item = &'a Event>,
) -> Result<Option<Unfinished>, serde_json::Error> {
    let mut open: Option<(&str, &serde_json::Value, Option<&serde_json::Value>)> = None;
    for event in events {
        match event {
            Event::RolloutStarted { rollout, plan, .. } => open = Some((rollout, plan, None)),
            Event::RolloutStep { rollout, state, .. } => {
                if let Some((name, _, newest)) = &mut open
                    && *name == rollout
                {
                    *newest = Some(state);
                }
            }
            Event::RolloutFinished { rollout, .. } => {
                open = open.filter(|(name, _, _)| name != rollout);
            }
            _ => {}
        }
    }
    let Some((_, plan, state)) = open else { return Ok(None) };
    let plan = serde_json::from_value(plan.clone())?;
    let state = match state {
        Some(state) => serde_json::from_value(state.clone())?,
        None => State { phase: Phase::Locked, ..State::new() },
    };
    Ok(Some(Unfinished { plan, state }))
}
