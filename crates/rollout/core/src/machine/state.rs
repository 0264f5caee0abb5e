//! What the machine remembers. Serialised into every recorded step.

use jiff::Timestamp;
use plimsoll_model::event::RolloutOutcome;
use serde::{Deserialize, Serialize};

use super::{Phase, Verdict};
use crate::{Failing, Fence, Plan, codes};

/// Generations are `fence * this + count`, so that whatever a new owner of the
/// lock desires is newer than all that was desired before, even when the last
/// writes of the former owner were lost.
pub(super) const GENERATIONS_PER_FENCE: u64 = 10_000;

/// No single step counts for more than this, whatever the clock did in
/// between: time in which nobody looked (a suspended machine, a clock that was
/// set) neither exhausts a deadline nor counts as baked.
pub(super) const LONGEST_STEP_MS: u64 = 60_000;

/// Why a rollout did not go on: the first cause, not the last symptom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Stable code, `DEP-101` and up; `plimsoll explain` has a page for it.
    pub code: String,
    /// One sentence.
    pub reason: String,
    /// The last lines the failing instance wrote, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_lines: Vec<String>,
}

impl Stop {
    /// A cause without output of an instance.
    pub fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code: code.into(), reason: reason.into(), last_lines: Vec::new() }
    }

    /// The cause an instance gives.
    pub fn from_failing(failing: &Failing) -> Self {
        Self {
            code: failing.cause.code().into(),
            reason: format!("{}: {}", failing.instance, failing.message),
            last_lines: failing.last_lines.clone(),
        }
    }
}

/// Time spent, in milliseconds, counted from step to step while somebody
/// looks. Not compared when asking whether a state has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// The last step.
    pub last: Option<Timestamp>,
    /// In the present phase.
    pub phase_ms: u64,
    /// From the first step to all requests moved.
    pub rollout_ms: u64,
    /// For how long some instance of the candidate has been failing in a way that may heal,
    /// as a probe does.
    pub probe_ms: u64,
}

/// The machine's memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Where it stands.
    pub phase: Phase,
    /// Of the newest [`crate::Desired`]; 0 before the first.
    pub generation: u64,
    /// The fence this process works under; none before it has the lock.
    pub fence: Option<Fence>,
    /// The first cause, once there is one.
    pub stop: Option<Stop>,
    /// Whether migrations have been begun.
    pub migrating: bool,
    /// Whether users' requests may have reached the candidate.
    pub took_traffic: bool,
    /// The last verdict over the whole bake time.
    pub verdict: Option<Verdict>,
    /// Why a person let it take over although nobody could tell whether it is
    /// worse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<String>,
    /// At the end: what could not be brought about in time and is left to the
    /// next command.
    pub incomplete: Option<String>,
    /// How many instances serve when nothing moves, where the target said so
    /// ([`crate::Observed::scale`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<u32>,
    /// Time spent.
    pub clocks: Clocks,
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// The state every rollout begins in.
    pub fn new() -> Self {
        Self {
            phase: Phase::Prepared,
            generation: 0,
            fence: None,
            stop: None,
            migrating: false,
            took_traffic: false,
            verdict: None,
            promoted: None,
            incomplete: None,
            scale: None,
            clocks: Clocks::default(),
        }
    }

    /// A recorded state, for a new process: it takes the lock anew and asks
    /// for what it desires under a new generation.
    ///
    /// Take the lock first and read the ledger then: a state read before the
    /// lock was had may be behind what another process has done since.
    #[must_use]
    pub fn resumed(mut self) -> Self {
        self.fence = None;
        self.clocks.last = None;
        self
    }

    /// The same, where a person answers for it that a rollout which is
    /// [`Phase::Held`] takes over; in any other phase nothing changes.
    #[must_use]
    pub fn promoted(mut self, reason: &str) -> Self {
        if self.phase == Phase::Held {
            self.promoted = Some(reason.into());
        }
        self
    }

    /// Whether the two differ in anything but time spent: what has to be
    /// recorded before acting on it.
    pub fn decided_otherwise(&self, other: &Self) -> bool {
        Self { clocks: other.clocks, ..self.clone() } != *other
    }

    /// How the rollout ended, as the ledger says it; `None` before it has.
    pub fn outcome(&self, plan: &Plan) -> Option<RolloutOutcome> {
        match self.phase {
            Phase::Committed => Some(RolloutOutcome::Succeeded),
            Phase::Reverted => {
                let regressed = self.stop.as_ref().is_some_and(|s| s.code == codes::REGRESSED);
                let back = plan.from.is_some() && self.incomplete.is_none();
                Some(if regressed && self.took_traffic && back {
                    RolloutOutcome::RolledBack
                } else {
                    RolloutOutcome::Failed
                })
            }
            _ => None,
        }
    }

    pub(super) fn tick(&mut self, now: Timestamp) {
        let last = self.clocks.last.replace(now).unwrap_or(now);
        let passed = now.as_millisecond().saturating_sub(last.as_millisecond());
        // A clock that was set back counts for nothing.
        let passed = u64::try_from(passed).unwrap_or(0).min(LONGEST_STEP_MS);
        self.clocks.phase_ms += passed;
        // Watching takes as long as was asked for; it is nobody's delay.
        if self.phase < Phase::Baking && !matches!(self.phase, Phase::Comparing | Phase::Held) {
            self.clocks.rollout_ms += passed;
        }
        self.clocks.probe_ms += passed;
    }

    pub(super) fn next_generation(&mut self) {
        let least = self.fence.map_or(0, |f| f.0.saturating_mul(GENERATIONS_PER_FENCE));
        self.generation = self.generation.max(least) + 1;
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.clocks.phase_ms = 0;
        self.clocks.probe_ms = 0;
        if matches!(phase, Phase::Comparing | Phase::Shifting(_)) {
            self.took_traffic = true;
        }
        if !matches!(phase, Phase::Prepared | Phase::Locked | Phase::Held) && !phase.is_terminal() {
            self.next_generation();
        }
    }

    /// Keeps the first cause and turns round.
    pub(super) fn turn_back(&mut self, stop: Stop) {
        self.stop.get_or_insert(stop);
        self.enter(Phase::Reverting);
    }
}
