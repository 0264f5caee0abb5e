//! Checks and the decision they add up to (DEP-1).

use serde::{Deserialize, Serialize};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As expected.
    Pass,
    /// Not as expected, and the deployment may go on.
    Warn,
    /// Not as expected, and the deployment may not go on.
    Fail,
}

/// What a failed check means for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The policy says no (exit 3).
    Refused,
    /// Something is not what was recorded (exit 4).
    Integrity,
    /// No verdict could be reached (exit 5).
    Unknown,
}

/// One named check with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Stable code, e.g. `TAG-001`.
    pub code: String,
    /// Short name, e.g. `full-sha-tag-exists`.
    pub name: String,
    /// Pass, warn or fail.
    pub outcome: Outcome,
    /// What should be.
    pub expected: String,
    /// What is.
    pub found: String,
    /// What to do about it; empty when it passed.
    pub hint: String,
    /// What kind of failure this is; absent unless `outcome` is `fail`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub severity: Option<Severity>,
}

/// The guard's verdict: every check, and whether all of them allow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// True when no check failed.
    pub allowed: bool,
    /// Every check that was made, in a fixed order.
    pub checks: Vec<Check>,
}

impl Decision {
    /// Adds checks up: allowed exactly when none failed.
    pub fn from_checks(checks: Vec<Check>) -> Self {
        let allowed = checks.iter().all(|check| check.outcome != Outcome::Fail);
        Self { allowed, checks }
    }

    /// The failed checks.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.outcome == Outcome::Fail)
    }

    /// The exit class of a refusal. A proven violation comes first, then a
    /// plain no; "no verdict" only where nothing but the unknown stands in the
    /// way, since asking again could not turn a no into a yes.
    pub fn refusal_class(&self) -> Option<crate::Class> {
        let worst = |wanted| self.failures().any(|check| check.severity == Some(wanted));
        if self.allowed {
            None
        } else if worst(Severity::Integrity) {
            Some(crate::Class::Integrity)
        } else if worst(Severity::Refused) {
            Some(crate::Class::Refused)
        } else {
            Some(crate::Class::Outside)
        }
    }
}
