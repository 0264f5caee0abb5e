//! Which findings a policy is about. Pure; what follows from them is decided
//! elsewhere.

use crate::report::{Finding, Report};
use crate::severity::Severity;

/// Findings that count, split by what can be done about them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Worst<'a> {
    /// At or above the threshold, with a version that is free of it.
    pub fixable: Vec<&'a Finding>,
    /// At or above the threshold, without one.
    pub unfixable: Vec<&'a Finding>,
    /// Vulnerabilities without a severity that is understood: whether they
    /// are at or above the threshold cannot be said.
    pub unrated: Vec<&'a Finding>,
    /// Remarks that are no vulnerabilities (`unmaintained`, `unsound`, `notice`)
    /// and carry no severity.
    pub informational: Vec<&'a Finding>,
}

/// The findings at or above a severity that nobody suppressed. Without a
/// threshold (`fail_on = "none"`) there are none.
pub fn worst(report: &Report, fail_on: Option<Severity>) -> Worst<'_> {
    let mut worst = Worst::default();
    let Some(fail_on) = fail_on else { return worst };
    for finding in report.counted() {
        if finding.severity == Severity::Unknown {
            let list =
                if finding.informational.is_empty() { &mut worst.unrated } else { &mut worst.informational };
            list.push(finding);
        } else if finding.severity >= fail_on {
            let list = if finding.fixed_in.is_some() { &mut worst.fixable } else { &mut worst.unfixable };
            list.push(finding);
        }
    }
    worst
}
