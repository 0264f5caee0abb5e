//! Breaks that were decided on: accepted with a reason, until a date.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::finding::{Finding, Level, Report};
use crate::rules::RULES;

/// One break that is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// Code or name of the rule, e.g. `API-002` or `operation-removed`.
    pub rule: String,
    /// Only for this method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path of the operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The component, e.g. `#/components/schemas/User` or `User`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Why the break is accepted.
    pub reason: String,
    /// The last day on which it is.
    pub until: Date,
}

impl Accepted {
    /// Whether it can be used.
    ///
    /// # Errors
    /// When it names no rule, nothing it is about, or no reason; `number` is its
    /// place in the list, for the message.
    pub fn check(&self, number: usize) -> Result<(), Error> {
        let fail = |reason: String| Err(Error::Accepted { number, reason });
        if !RULES.iter().any(|rule| self.names(rule.page.code, rule.page.name)) {
            return fail(format!("there is no rule `{}`", self.rule));
        }
        if self.path.is_none() && self.component.is_none() {
            return fail("it names neither `path` nor `component`".into());
        }
        if self.reason.trim().is_empty() {
            return fail("it has no reason".into());
        }
        Ok(())
    }

    fn names(&self, code: &str, name: &str) -> bool {
        self.rule.eq_ignore_ascii_case(code) || self.rule == name
    }

    /// Whether it covers all of a finding. A finding about several operations
    /// or components is covered when each of them is.
    fn covers(&self, finding: &Finding) -> bool {
        if !self.names(&finding.rule, &finding.name) {
            return false;
        }
        if let Some(wanted) = &self.component {
            let is = |component: &String| component == wanted || component.rsplit('/').next() == Some(wanted);
            return finding.component.as_ref().is_some_and(is) && finding.also.iter().all(is);
        }
        let path = self.path.as_deref().unwrap_or_default();
        !finding.operations.is_empty()
            && finding.operations.iter().all(|operation| {
                operation.split_once(' ').is_some_and(|(method, at)| {
                    at == path
                        && self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
                })
            })
    }
}

/// Marks what is accepted, and finds what the whole then amounts to.
pub(crate) fn apply(changes: Vec<Finding>, accepted: &[Accepted], today: Option<Date>) -> Report {
    let mut changes = changes;
    // Without a date nothing can be over.
    let over = |entry: &&Accepted| today.is_some_and(|today| entry.until < today);
    let expired: Vec<Accepted> = accepted.iter().filter(over).cloned().collect();
    let valid: Vec<&Accepted> = accepted.iter().filter(|entry| !over(entry)).collect();
    let mut used = vec![false; valid.len()];
    for finding in changes.iter_mut().filter(|finding| finding.level == Level::Breaking) {
        for (at, entry) in valid.iter().enumerate() {
            if entry.covers(finding) {
                used[at] = true;
                finding.accepted = Some(format!("{} (until {})", entry.reason, entry.until));
                break;
            }
        }
    }
    let unused =
        valid.iter().zip(used).filter(|(_, used)| !used).map(|(entry, _)| (*entry).clone()).collect();
    let level = changes.iter().filter(|finding| finding.counts()).map(|finding| finding.level).max();
    Report { level, changes, expired, unused }
}
