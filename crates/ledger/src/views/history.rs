//! What happened, newest first, and all that is known about one commit.

use std::collections::BTreeSet;

use jiff::Timestamp;
use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Commit, Decision, Event, PinnedRef, RepositoryType, TraceId};
use serde::Serialize;
use serde_json::Value;

use super::{Build, Rollout, rollouts};
use crate::entry::Entry;
use crate::store::Query;
use crate::{Error, Ledger};

/// What a line of the history is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A build.
    Build,
    /// A push of what an earlier build stored.
    Push,
    /// A deployment.
    Deploy,
    /// A rollback.
    Rollback,
    /// Somebody answers for letting a check pass.
    Override,
    /// Verification of signatures became mandatory.
    Escalation,
    /// Somebody made it soft for a time.
    Softening,
}

impl From<RolloutKind> for What {
    fn from(kind: RolloutKind) -> Self {
        match kind {
            RolloutKind::Deploy => Self::Deploy,
            RolloutKind::Rollback => Self::Rollback,
        }
    }
}

/// One line of the history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryRow {
    /// Its ledger entry.
    pub entry: u64,
    /// When it ended.
    pub at: Timestamp,
    /// Who did it.
    pub by: String,
    /// Build, deployment or rollback.
    pub what: What,
    /// Where; `None` for a build.
    pub environment: Option<String>,
    /// The commit; `None` for what is about a whole environment.
    pub sha: Option<Commit>,
    /// The image, where one was made or rolled out.
    pub image: Option<PinnedRef>,
    /// Canonical or staging; not known for a refusal.
    pub repository_type: Option<RepositoryType>,
    /// `succeeded`, `failed`, `refused`, `rolled_back`, `planned`; `recorded`
    /// for what is only written down.
    pub outcome: String,
    /// Code of the first cause; empty when it succeeded.
    pub code: String,
    /// First cause, in words; empty when it succeeded.
    pub reason: String,
    /// How long it took; `None` for a refusal.
    pub duration_sec: Option<f64>,
    /// The trace of the command, where it was traced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
}

/// A decision of the guard.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decided {
    /// Its ledger entry.
    pub entry: u64,
    /// When.
    pub at: Timestamp,
    /// Who asked.
    pub by: String,
    /// Where.
    pub environment: String,
    /// Deploy or rollback.
    pub rollout: RolloutKind,
    /// The facts it was decided on.
    pub facts: Value,
    /// The verdict.
    pub decision: Decision,
}

/// All that is known about one commit; newest first, each part bounded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// The commit.
    pub sha: Commit,
    /// Builds that ended well.
    pub builds: Vec<Build>,
    /// Decisions about it.
    pub decisions: Vec<Decided>,
    /// Rollouts to it that ended.
    pub rollouts: Vec<Rollout>,
    /// Environments that run it.
    pub running_in: Vec<String>,
    /// Every entry about it.
    pub entries: Vec<Entry>,
}

fn outcome_text(outcome: plimsoll_model::event::RolloutOutcome) -> String {
    match serde_json::to_value(outcome) {
        Ok(Value::String(text)) => text,
        _ => outcome.to_string(),
    }
}

fn row(entry: Entry) -> Option<HistoryRow> {
    let (seq, at, by, trace_id) = (entry.seq, entry.at, entry.actor, entry.trace_id);
    let of = |what, environment, sha: Option<Commit>| HistoryRow {
        entry: seq,
        at,
        by,
        what,
        environment,
        sha,
        image: None,
        repository_type: None,
        outcome: "succeeded".into(),
        code: String::new(),
        reason: String::new(),
        duration_sec: None,
        trace_id,
    };
    match entry.event {
        Event::BuildFinished { metadata } => Some(HistoryRow {
            image: Some(metadata.image_ref),
            repository_type: Some(metadata.repository_type),
            duration_sec: Some(metadata.build_duration_sec),
            ..of(What::Build, None, Some(metadata.image_sha))
        }),
        Event::PushFinished { metadata } => Some(HistoryRow {
            image: Some(metadata.image_ref),
            repository_type: Some(metadata.repository_type),
            ..of(What::Push, None, Some(metadata.image_sha))
        }),
        Event::BuildFailed { sha, repository_type, code, message, duration_sec } => Some(HistoryRow {
            repository_type: Some(repository_type),
            outcome: "failed".into(),
            code,
            reason: message,
            duration_sec: Some(duration_sec),
            ..of(What::Build, None, Some(sha))
        }),
        Event::RolloutFinished {
            environment,
            direction,
            repository_type,
            to,
            outcome,
            code,
            reason,
            duration_sec,
            ..
        } => Some(HistoryRow {
            image: Some(to.image.clone()),
            repository_type: Some(repository_type),
            outcome: outcome_text(outcome),
            code,
            reason,
            duration_sec: Some(duration_sec),
            ..of(direction.into(), Some(environment), Some(to.sha().clone()))
        }),
        Event::Decided { environment, sha, rollout, decision, .. } => {
            let (code, reason) = decision
                .failures()
                .next()
                .map_or_else(Default::default, |check| (check.code.clone(), check.name.clone()));
            let outcome = if decision.allowed { "planned" } else { "refused" }.into();
            Some(HistoryRow { outcome, code, reason, ..of(rollout.into(), Some(environment), Some(sha)) })
        }
        Event::Overridden { environment, sha, code, reason, until } => Some(HistoryRow {
            outcome: "recorded".into(),
            reason: format!("{code} until {until}: {reason}"),
            code,
            ..of(What::Override, Some(environment), Some(sha))
        }),
        Event::VerificationEscalated { environment, signed, samples, .. } => Some(HistoryRow {
            outcome: "recorded".into(),
            reason: format!("{signed} of {samples} releases are signed: mandatory from here on"),
            ..of(What::Escalation, Some(environment), None)
        }),
        Event::VerificationSoftened { environment, reason, until } => Some(HistoryRow {
            outcome: "recorded".into(),
            reason: format!("soft until {until}: {reason}"),
            ..of(What::Softening, Some(environment), None)
        }),
        _ => None,
    }
}

impl Ledger {
    /// Builds, deployments and rollbacks that ended, those that the guard
    /// refused, and what changed the rules; newest first, at most `limit`. Of one environment: only what
    /// happened there, without builds.
    ///
    /// # Errors
    /// `LED-004`, `LED-011`, `LED-020`.
    pub fn history(&self, environment: Option<&str>, limit: u64) -> Result<Vec<HistoryRow>, Error> {
        let of = |kinds: Vec<&'static str>, outcome| Query {
            kinds,
            environment: environment.map(Into::into),
            outcome,
            newest_first: true,
            limit: Some(limit),
            ..Query::default()
        };
        let mut ended =
            vec!["rollout.finished", "override", "verification.escalated", "verification.softened"];
        if environment.is_none() {
            ended.extend(["build.finished", "build.failed", "push.finished"]);
        }
        let mut entries = self.read(&of(ended, None))?;
        entries.extend(self.read(&of(vec!["decision"], Some("refused")))?);
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.seq));
        entries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(entries.into_iter().filter_map(row).collect())
    }

    /// All that is known about a commit, at most `limit` of each kind.
    ///
    /// # Errors
    /// As [`Ledger::history`].
    pub fn show(&self, sha: &Commit, limit: u64) -> Result<Shown, Error> {
        let query = Query {
            sha: Some(sha.as_str().into()),
            newest_first: true,
            limit: Some(limit),
            ..Query::default()
        };
        let about = |kind| self.read(&Query { kinds: vec![kind], ..query.clone() });
        let rollouts: Vec<_> = about("rollout.finished")?.into_iter().filter_map(rollouts::rollout).collect();
        let environments: BTreeSet<&str> = rollouts.iter().map(|r| r.environment.as_str()).collect();
        let mut running_in = Vec::new();
        for environment in environments {
            if self.current(environment)?.is_some_and(|running| running.release.sha() == sha) {
                running_in.push(environment.to_owned());
            }
        }
        Ok(Shown {
            sha: sha.clone(),
            builds: self.builds(Some(sha), limit)?,
            decisions: about("decision")?.into_iter().filter_map(decided).collect(),
            rollouts,
            running_in,
            entries: self.read(&query)?,
        })
    }

    /// The decision recorded in an entry, if it is one.
    ///
    /// # Errors
    /// As [`Ledger::history`].
    pub fn decision(&self, entry: u64) -> Result<Option<Decided>, Error> {
        Ok(self.entry(entry)?.and_then(decided))
    }
}

pub(crate) fn decided(entry: Entry) -> Option<Decided> {
    match entry.event {
        Event::Decided { environment, rollout, facts, decision, .. } => Some(Decided {
            entry: entry.seq,
            at: entry.at,
            by: entry.actor,
            environment,
            rollout,
            facts,
            decision,
        }),
        _ => None,
    }
}
