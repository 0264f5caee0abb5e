//! The list of ignores: findings that somebody decided to live with, until a day.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::report::{IdleIgnore, IdleState, Report, SuppressedBy, Suppression};

/// One entry of `[sbom.policy] ignore`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignore {
    /// Id of an advisory, or one of its aliases.
    pub id: String,
    /// Why it does not count.
    pub reason: String,
    /// The last day on which it holds; without end where there is none.
    #[serde(default)]
    pub until: Option<Date>,
}

impl Ignore {
    /// Whether it still holds on a day.
    pub fn holds_on(&self, today: Date) -> bool {
        self.until.is_none_or(|until| today <= until)
    }
}

impl Report {
    /// Marks the findings that the list names as suppressed. An entry whose
    /// day has passed does not count; it is listed in [`Report::ignores`], and
    /// so is one that names nothing that was found.
    ///
    /// A finding that stands for several CVEs is suppressed when each of them,
    /// or the finding's own id, is named.
    pub fn apply_ignores(&mut self, ignores: &[Ignore], today: Date) {
        let valid: Vec<&Ignore> = ignores.iter().filter(|ignore| ignore.holds_on(today)).collect();
        let mut used = vec![false; valid.len()];
        for finding in &mut self.findings {
            let names = |name: &str| valid.iter().position(|ignore| ignore.id == name);
            for (at, ignore) in valid.iter().enumerate() {
                used[at] |= finding.related_names().any(|name| *name == ignore.id);
            }
            if finding.suppressed.is_some() || !finding.is_covered(|name| names(name).is_some()) {
                continue;
            }
            let by: Vec<&Ignore> =
                finding.related_names().filter_map(|name| names(name).map(|at| valid[at])).collect();
            finding.suppressed = by.first().map(|first| Suppression {
                by: SuppressedBy::Ignore,
                reason: first.reason.clone(),
                // It holds as long as all of those that it takes.
                until: by.iter().filter_map(|ignore| ignore.until).min(),
            });
        }
        let idle = |ignore: &Ignore, state| IdleIgnore {
            id: ignore.id.clone(),
            reason: ignore.reason.clone(),
            until: ignore.until,
            state,
        };
        let expired = ignores.iter().filter(|ignore| !ignore.holds_on(today));
        self.ignores.extend(expired.map(|ignore| idle(ignore, IdleState::Expired)));
        let unused = valid.iter().zip(used).filter(|(_, used)| !used);
        self.ignores.extend(unused.map(|(ignore, _)| idle(ignore, IdleState::Unused)));
    }
}
