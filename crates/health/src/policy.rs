//! What to do about a verdict, when there was too little to see.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Verdict;

/// How an environment takes too little data: waited for up to a bound, and
/// then one of three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsufficientData {
    /// How long to go on watching after the bake time, in seconds.
    pub wait_sec: u32,
    /// What to do then.
    pub then: Then,
}

/// What to do when there still is too little data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The new release stays, recorded as not proven.
    #[default]
    Promote,
    /// The rollout ends as it is, and a person decides.
    Hold,
    /// Back to the old release.
    GoBack,
}

impl Default for InsufficientData {
    fn default() -> Self {
        Self { wait_sec: 0, then: Then::Promote }
    }
}

/// What the rollout does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// Go on watching.
    Watch {
        /// For at most this long, in seconds.
        left_sec: u32,
    },
    /// The new release stays.
    Promote {
        /// False: nobody could tell whether it is worse.
        proven: bool,
    },
    /// A person decides.
    Hold,
    /// Back to the old release.
    GoBack {
        /// False: it was not seen to be worse; the environment asks for proof.
        regressed: bool,
    },
}

/// A decision with all that it rests on but the verdict: taken again, it is the
/// same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// For how long it had been watched, in seconds.
    pub watched_sec: u32,
    /// For how long it was to be watched, in seconds.
    pub bake_sec: u32,
    /// The environment's policy.
    pub policy: InsufficientData,
    /// What was decided.
    #[serde(flatten)]
    pub decision: Decision,
}

impl Decided {
    /// Decides, and keeps on what.
    pub fn by(verdict: Verdict, watched_sec: u32, bake_sec: u32, policy: InsufficientData) -> Self {
        Self { watched_sec, bake_sec, policy, decision: decide(verdict, watched_sec, bake_sec, policy) }
    }

    /// Whether the same is decided on this verdict.
    pub fn follows_from(&self, verdict: Verdict) -> bool {
        *self == Self::by(verdict, self.watched_sec, self.bake_sec, self.policy)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Watch { left_sec } => write!(f, "watch for up to {left_sec} s more"),
            Self::Promote { proven: true } => f.write_str("promote"),
            Self::Promote { proven: false } => f.write_str("promote, not proven"),
            Self::Hold => f.write_str("hold for a person"),
            Self::GoBack { regressed: true } => f.write_str("go back"),
            Self::GoBack { regressed: false } => f.write_str("go back, not proven"),
        }
    }
}

/// Decides after `watched_sec` seconds of a bake time of `bake_sec`. Only a
/// regression decides before the bake time is over.
pub fn decide(verdict: Verdict, watched_sec: u32, bake_sec: u32, policy: InsufficientData) -> Decision {
    let until = match verdict {
        Verdict::Regressed => return Decision::GoBack { regressed: true },
        Verdict::NoEvidence => bake_sec,
        Verdict::InsufficientData => bake_sec.saturating_add(policy.wait_sec),
    };
    if watched_sec < until {
        return Decision::Watch { left_sec: until - watched_sec };
    }
    match (verdict, policy.then) {
        (Verdict::NoEvidence, _) => Decision::Promote { proven: true },
        (_, Then::Promote) => Decision::Promote { proven: false },
        (_, Then::Hold) => Decision::Hold,
        (_, Then::GoBack) => Decision::GoBack { regressed: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_data_is_neither_a_pass_nor_a_failure_until_the_environment_says_so() {
        let policy = |then| InsufficientData { wait_sec: 120, then };
        let too_little = |watched, then| decide(Verdict::InsufficientData, watched, 300, policy(then));
        for then in [Then::Promote, Then::Hold, Then::GoBack] {
            assert_eq!(too_little(0, then), Decision::Watch { left_sec: 420 });
            assert_eq!(too_little(419, then), Decision::Watch { left_sec: 1 });
        }
        assert_eq!(too_little(420, Then::Promote), Decision::Promote { proven: false });
        assert_eq!(too_little(420, Then::Hold), Decision::Hold);
        assert_eq!(too_little(420, Then::GoBack), Decision::GoBack { regressed: false });
    }

    #[test]
    fn a_regression_does_not_wait_and_a_sound_release_waits_for_the_bake_time() {
        let policy = InsufficientData::default();
        assert_eq!(decide(Verdict::Regressed, 10, 300, policy), Decision::GoBack { regressed: true });
        assert_eq!(decide(Verdict::NoEvidence, 299, 300, policy), Decision::Watch { left_sec: 1 });
        assert_eq!(decide(Verdict::NoEvidence, 300, 300, policy), Decision::Promote { proven: true });
        assert_eq!(
            decide(Verdict::InsufficientData, u32::MAX, u32::MAX, policy),
            Decision::Promote { proven: false }
        );
    }
}
