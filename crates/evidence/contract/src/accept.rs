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

    fn covers_component(&self, finding: &Finding, component: &str) -> bool {
        let is = |wanted: &String| component == wanted || component.rsplit('/').next() == Some(wanted);
        self.names(&finding.rule, &finding.name) && self.component.as_ref().is_some_and(is)
    }

    fn covers_operation(&self, finding: &Finding, operation: &str) -> bool {
        let is = |(method, path): (&str, &str)| {
            self.path.as_deref() == Some(path)
                && self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
        };
        self.names(&finding.rule, &finding.name) && operation.split_once(' ').is_some_and(is)
    }
}

/// The entries that accept a finding: a finding about several components or
/// operations is accepted when each of them is, by whichever entry.
fn accepting(finding: &Finding, entries: &[&Accepted]) -> Option<Vec<usize>> {
    let all = |things: Vec<&String>, covers: fn(&Accepted, &Finding, &str) -> bool| -> Option<Vec<usize>> {
        let by: Option<Vec<usize>> = things
            .iter()
            .map(|thing| entries.iter().position(|entry| covers(entry, finding, thing)))
            .collect();
        by.filter(|by| !by.is_empty())
    };
    let components: Vec<&String> = finding.component.iter().chain(&finding.also).collect();
    all(components, Accepted::covers_component)
        .or_else(|| all(finding.operations.iter().collect(), Accepted::covers_operation))
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
        if let Some(by) = accepting(finding, &valid) {
            for &at in &by {
                used[at] = true;
            }
            finding.accepted = Some(format!("{} (until {})", valid[by[0]].reason, valid[by[0]].until));
        }
    }
    let unused =
        valid.iter().zip(used).filter(|(_, used)| !used).map(|(entry, _)| (*entry).clone()).collect();
    let level = changes.iter().filter(|finding| finding.counts()).map(|finding| finding.level).max();
    Report { level, changes, expired, unused }
}
