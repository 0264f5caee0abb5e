//! What runs, what ran, and what was interrupted.

use std::collections::HashSet;
use std::ops::ControlFlow;

use jiff::Timestamp;
use plimsoll_model::event::{RolloutKind, RolloutOutcome};
use plimsoll_model::{Commit, Event, Release, RepositoryType};
use serde::Serialize;
use serde_json::Value;

use crate::entry::Entry;
use crate::store::Query;
use crate::{Error, Ledger};

/// What an environment runs, as far as the ledger knows: the newest rollout
/// that succeeded. One that failed or was rolled back leaves the one before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Running {
    /// The release.
    pub release: Release,
    /// When its rollout ended.
    pub since: Timestamp,
    /// Who rolled it out.
    pub by: String,
    /// Ledger entry of that rollout's end.
    pub entry: u64,
    /// Ledger entry of the decision that allowed it.
    pub decision_entry: Option<u64>,
    /// Unique name of the rollout.
    pub rollout: String,
    /// Deploy or rollback.
    pub direction: RolloutKind,
    /// What served before it.
    pub previous: Option<Release>,
}

/// A rollout that ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rollout {
    /// Ledger entry of its end.
    pub entry: u64,
    /// When it ended.
    pub at: Timestamp,
    /// Who rolled out.
    pub by: String,
    /// Unique name.
    pub rollout: String,
    /// Where.
    pub environment: String,
    /// Deploy or rollback.
    pub direction: RolloutKind,
    /// Canonical or staging.
    pub repository_type: RepositoryType,
    /// What served before.
    pub from: Option<Release>,
    /// What was asked for.
    pub to: Release,
    /// How it ended.
    pub outcome: RolloutOutcome,
    /// Code of the first cause; empty when it succeeded.
    pub code: String,
    /// First cause, in words; empty when it succeeded.
    pub reason: String,
    /// From command to end.
    pub duration_sec: f64,
}

/// A release that ran in an environment: where one can go back to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Deployed {
    /// The release.
    pub release: Release,
    /// When it was last rolled out with success.
    pub last: Timestamp,
    /// Who did that.
    pub by: String,
    /// Ledger entry of that.
    pub entry: u64,
    /// Whether it is what runs.
    pub running: bool,
}

/// A rollout that was started and has no end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unfinished {
    /// Unique name.
    pub rollout: String,
    /// Where.
    pub environment: String,
    /// Deploy or rollback.
    pub direction: RolloutKind,
    /// Ledger entry of its start.
    pub entry: u64,
    /// When it was started.
    pub since: Timestamp,
    /// Who started it.
    pub by: String,
    /// Ledger entry of the decision that allowed it.
    pub decision_entry: u64,
    /// The immutable plan.
    pub plan: Value,
    /// The last step, if any was taken.
    pub last_step: Option<Step>,
}

/// One recorded command of the machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Its ledger entry.
    pub entry: u64,
    /// When.
    pub at: Timestamp,
    /// Phase of the machine.
    pub phase: String,
    /// State of the machine after deciding it.
    pub state: Value,
    /// The command, in words.
    pub command: String,
    /// `None`: only the intent is recorded.
    pub outcome: Option<String>,
}

pub(crate) fn rollout(entry: Entry) -> Option<Rollout> {
    let Event::RolloutFinished {
        rollout,
        environment,
        direction,
        repository_type,
        from,
        to,
        outcome,
        code,
        reason,
        duration_sec,
    } = entry.event
    else {
        return None;
    };
    Some(Rollout {
        entry: entry.seq,
        at: entry.at,
        by: entry.actor,
        rollout,
        environment,
        direction,
        repository_type,
        from,
        to,
        outcome,
        code,
        reason,
        duration_sec,
    })
}

fn succeeded_in(environment: &str) -> Query {
    Query {
        kinds: vec!["rollout.finished"],
        environment: Some(environment.into()),
        outcome: Some("succeeded"),
        newest_first: true,
        ..Query::default()
    }
}

impl Ledger {
    /// Rollouts that ended, newest first, at most `limit`.
    ///
    /// # Errors
    /// `LED-004`, `LED-011`, `LED-020`.
    pub fn rollouts(&self, environment: Option<&str>, limit: u64) -> Result<Vec<Rollout>, Error> {
        let query = Query {
            kinds: vec!["rollout.finished"],
            environment: environment.map(Into::into),
            newest_first: true,
            limit: Some(limit),
            ..Query::default()
        };
        Ok(self.read(&query)?.into_iter().filter_map(rollout).collect())
    }

    /// What an environment runs.
    ///
    /// # Errors
    /// As [`Ledger::rollouts`].
    pub fn current(&self, environment: &str) -> Result<Option<Running>, Error> {
        let query = Query { limit: Some(1), ..succeeded_in(environment) };
        let Some(last) = self.read(&query)?.pop().and_then(rollout) else { return Ok(None) };
        let start = Query {
            kinds: vec!["rollout.started"],
            rollout: Some(last.rollout.clone()),
            newest_first: true,
            limit: Some(1),
            ..Query::default()
        };
        let decision_entry = self.read(&start)?.pop().and_then(|entry| match entry.event {
            Event::RolloutStarted { decision_entry, .. } => Some(decision_entry),
            _ => None,
        });
        Ok(Some(Running {
            release: last.to,
            since: last.at,
            by: last.by,
            entry: last.entry,
            decision_entry,
            rollout: last.rollout,
            direction: last.direction,
            previous: last.from,
        }))
    }

    /// Every release that was rolled out there with success, each once, the
    /// one used last first; at most `limit`.
    ///
    /// # Errors
    /// As [`Ledger::rollouts`].
    pub fn deployed_before(&self, environment: &str, limit: usize) -> Result<Vec<Deployed>, Error> {
        let mut seen = HashSet::new();
        let mut found: Vec<Deployed> = Vec::new();
        let query = Query { without_body: true, ..succeeded_in(environment) };
        self.scan(&query, &mut |row| {
            let unreadable = |why: String| Error::Unreadable { seq: row.seq, why };
            let Some(image) = &row.projection.image else { return Ok(ControlFlow::Continue(())) };
            if seen.insert(image.clone()) {
                found.push(Deployed {
                    release: Release::new(image.parse().map_err(|e| unreadable(format!("image: {e}")))?),
                    last: row.at.parse().map_err(|e| unreadable(format!("time: {e}")))?,
                    running: found.is_empty(),
                    by: row.actor,
                    entry: row.seq,
                });
            }
            Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(found)
    }

    /// Rollouts that were interrupted, newest first; of one environment or of all.
    ///
    /// # Errors
    /// As [`Ledger::rollouts`].
    pub fn unfinished(&self, environment: Option<&str>) -> Result<Vec<Unfinished>, Error> {
        let query = Query {
            kinds: vec!["rollout.started"],
            environment: environment.map(Into::into),
            open: true,
            newest_first: true,
            ..Query::default()
        };
        let mut unfinished = Vec::new();
        for entry in self.read(&query)? {
            let (seq, since, by) = (entry.seq, entry.at, entry.actor);
            let Event::RolloutStarted { rollout, environment, direction, decision_entry, plan } = entry.event
            else {
                continue;
            };
            let last_step = self.steps(&rollout, 1)?.pop();
            unfinished.push(Unfinished {
                rollout,
                environment,
                direction,
                entry: seq,
                since,
                by,
                decision_entry,
                plan,
                last_step,
            });
        }
        Ok(unfinished)
    }

    /// The steps of one rollout, newest first, at most `limit`.
    ///
    /// # Errors
    /// As [`Ledger::rollouts`].
    pub fn steps(&self, rollout: &str, limit: u64) -> Result<Vec<Step>, Error> {
        let query = Query {
            kinds: vec!["rollout.step"],
            rollout: Some(rollout.into()),
            newest_first: true,
            limit: Some(limit),
            ..Query::default()
        };
        let steps = self.read(&query)?.into_iter().filter_map(|entry| match entry.event {
            Event::RolloutStep { phase, state, command, outcome, .. } => {
                Some(Step { entry: entry.seq, at: entry.at, phase, state, command, outcome })
            }
            _ => None,
        });
        Ok(steps.collect())
    }

    /// Whether a commit was ever rolled out there with success.
    ///
    /// # Errors
    /// As [`Ledger::rollouts`].
    pub fn was_deployed(&self, environment: &str, sha: &Commit) -> Result<Option<Rollout>, Error> {
        let query = Query { sha: Some(sha.as_str().into()), limit: Some(1), ..succeeded_in(environment) };
        Ok(self.read(&query)?.pop().and_then(rollout))
    }
}
