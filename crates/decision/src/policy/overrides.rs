//! POL-001 `override`: somebody answers for letting a check pass.

use plimsoll_model::finding::Severity;
use plimsoll_model::{Check, Outcome, Page};

use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "POL-001",
    name: "override",
    what: "`plimsoll deploy SHA --env ENV --approve CODE=REASON` lets a check that refuses pass as a warning, for this \
           commit in this environment, until it expires (24 hours; `--approve-for` says otherwise). It is recorded in \
           the ledger with actor, reason and end before anything is decided. Violations and open questions cannot be \
           approved: only refusals.",
    why: "Rules that cannot be broken are switched off by the people who must get something out at 3 a.m. An override \
          with a name and an end keeps the rule.",
    how: "`plimsoll history` shows overrides; `plimsoll policy check SHA --env ENV` shows which are in force.",
};

/// Turns refusals that somebody answers for into warnings.
pub(crate) fn apply(facts: &Facts, checks: &mut [Check]) {
    let Some(policy) = &facts.policy else { return };
    for check in checks {
        if check.outcome != Outcome::Fail || check.severity != Some(Severity::Refused) {
            continue;
        }
        let approval =
            policy.overrides.iter().find(|approval| approval.code == check.code && facts.at < approval.until);
        if let Some(approval) = approval {
            check.outcome = Outcome::Warn;
            check.severity = None;
            check.hint = format!("approved by {} until {}: {}", approval.by, approval.until, approval.reason);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::{SignedDuration, Timestamp};
    use plimsoll_model::{Class, Lookup};

    use super::*;
    use crate::Override;
    use crate::policy::tests::{assert_check, good, mandatory, with_evidence};

    fn approved(mut facts: Facts, code: &str) -> Facts {
        facts.policy.as_mut().unwrap().overrides.push(Override {
            code: code.into(),
            reason: "the signer is down".into(),
            by: "ada".into(),
            at: Timestamp::UNIX_EPOCH,
            until: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24),
            entry: Some(5),
        });
        facts
    }

    fn unsigned() -> Facts {
        mandatory(with_evidence(good(), |evidence| evidence.signature = crate::Proof::Missing))
    }

    #[test]
    fn a_refusal_that_somebody_answers_for_is_a_warning_until_it_expires() {
        let mut facts = approved(unsigned(), "SIG-001");
        assert_check(&facts, "SIG-001", Outcome::Warn, None);
        facts.at = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24);
        assert_check(&facts, "SIG-001", Outcome::Fail, Some(Class::Refused));
        assert_check(&approved(unsigned(), "SBM-001"), "SIG-001", Outcome::Fail, Some(Class::Refused));
    }

    #[test]
    fn violations_and_open_questions_cannot_be_approved() {
        let violation = with_evidence(good(), |evidence| evidence.foreign.push("sbom of another".into()));
        assert_check(&approved(violation, "SIG-003"), "SIG-003", Outcome::Fail, Some(Class::Integrity));
        let open = Facts { full_tag: Lookup::Unknown("down".into()), ..good() };
        assert_check(&approved(open, "TAG-001"), "TAG-001", Outcome::Fail, Some(Class::Outside));
    }
}
