//! A rollout that did not end well, for a person to read.

use plimsoll_model::event::RolloutOutcome;
use plimsoll_model::{Class, Diagnose};

use crate::executor::Outcome;
use crate::machine::{End, Stop};
use crate::{Plan, codes};

/// Why the new release does not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RolloutError {
    /// It was stopped, and what served before was put back.
    #[error("the rollout of {sha} to {environment} was stopped: {}", stop.reason)]
    Stopped {
        /// The environment.
        environment: String,
        /// The commit.
        sha: String,
        /// The first cause.
        stop: Stop,
        /// Failed or rolled back.
        outcome: RolloutOutcome,
        /// What is not back as it was, if anything.
        incomplete: Option<String>,
        /// Whether something served before.
        had_previous: bool,
    },
    /// Both releases serve.
    #[error("the rollout of {sha} to {environment} is held for a person to decide: {}", stop.reason)]
    Held {
        /// The environment.
        environment: String,
        /// The commit.
        sha: String,
        /// What is not known.
        stop: Stop,
    },
    /// Nothing was touched.
    #[error("the rollout of {sha} to {environment} did not begin: {}", stop.reason)]
    NotStarted {
        /// The environment.
        environment: String,
        /// The commit.
        sha: String,
        /// The cause.
        stop: Stop,
    },
    /// Another process owns the environment now.
    #[error("the lock of {environment} was lost during the rollout: {}", stop.reason)]
    LockLost {
        /// The environment.
        environment: String,
        /// The cause.
        stop: Stop,
    },
    /// The ledger could not be written.
    #[error("a step of the rollout to {environment} could not be recorded: {reason}")]
    Journal {
        /// The environment.
        environment: String,
        /// What the ledger said.
        reason: String,
    },
}

impl Outcome {
    /// The error to show; `None` when every replica serves the new release.
    pub fn error(&self, plan: &Plan) -> Option<RolloutError> {
        let environment = plan.environment.clone();
        let sha = plan.to.sha().short().to_owned();
        match &self.end {
            End::Committed => None,
            End::Reverted => Some(RolloutError::Stopped {
                environment,
                sha,
                stop: self
                    .state
                    .stop
                    .clone()
                    .unwrap_or_else(|| Stop::new(codes::DEADLINE, "no cause recorded")),
                outcome: self.state.outcome(plan).unwrap_or(RolloutOutcome::Failed),
                incomplete: self.state.incomplete.clone(),
                had_previous: plan.from.is_some(),
            }),
            End::Held(stop) => Some(RolloutError::Held { environment, sha, stop: stop.clone() }),
            End::NotStarted(stop) => Some(RolloutError::NotStarted { environment, sha, stop: stop.clone() }),
            End::LockLost(stop) => Some(RolloutError::LockLost { environment, stop: stop.clone() }),
        }
    }
}

impl RolloutError {
    /// The last lines of the instance that failed, oldest first.
    pub fn last_lines(&self) -> &[String] {
        match self {
            Self::Stopped { stop, .. } => &stop.last_lines,
            _ => &[],
        }
    }
}

impl Diagnose for RolloutError {
    fn class(&self) -> Class {
        match self {
            Self::Stopped { outcome: RolloutOutcome::RolledBack, .. } => Class::RolledBack,
            Self::Stopped { stop, .. } | Self::NotStarted { stop, .. } => match stop.code.as_str() {
                codes::INTERRUPTED => Class::Interrupted,
                codes::LOCK_HELD => Class::Refused,
                codes::TARGET => Class::Outside,
                _ => Class::Failed,
            },
            Self::Held { .. } => Class::Held,
            Self::LockLost { .. } => Class::Failed,
            Self::Journal { .. } => Class::Outside,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Stopped { stop, .. }
            | Self::Held { stop, .. }
            | Self::NotStarted { stop, .. }
            | Self::LockLost { stop, .. } => codes::known(&stop.code),
            Self::Journal { .. } => codes::JOURNAL,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Stopped { incomplete: Some(left), environment, .. } => format!(
                "going back was not completed {left}; `plimsoll status --env {environment}` shows what runs, and \
                 the next deploy or rollback goes on from there"
            ),
            Self::Stopped { had_previous: true, .. } => {
                format!("what served before serves again; see `plimsoll explain {}`", self.code())
            }
            Self::Stopped { .. } => format!(
                "nothing served before, and nothing was left running; see `plimsoll explain {}`",
                self.code()
            ),
            Self::Held { environment, .. } => format!(
                "both releases serve; `plimsoll deploy SHA --env {environment} --promote REASON` lets the new one take \
                 over, `plimsoll rollback --to PREVIOUS --env {environment}` takes it back"
            ),
            Self::NotStarted { .. } => format!("nothing was touched; see `plimsoll explain {}`", self.code()),
            Self::LockLost { environment, .. } => format!(
                "this process stopped at once and undid nothing; `plimsoll status --env {environment}` shows \
                 where it stands"
            ),
            Self::Journal { .. } => {
                "nothing that is not recorded was done; make the ledger writable and run the command again: it \
                 goes on from the last recorded step"
                    .into()
            }
        })
    }
}
