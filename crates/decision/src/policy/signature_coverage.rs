//! SIG-002 `signature-coverage`.

use plimsoll_model::Page;

use super::{Judgement, Rule, compare};
use crate::{Facts, InForce};

pub(super) const PAGE: Page = Page {
    code: "SIG-002",
    name: "signature-coverage",
    what: "How many of the releases that this environment runs or ran are signed, and what that means: with \
           `[verification] mode = \"auto\"`, verification becomes mandatory by itself once more than `threshold` (90 %) \
           of at least `min_samples` releases are signed, and stays so (SIG-4).",
    why: "A soft check that nobody ever makes hard protects nobody; one that is made hard on a guess stops production. \
          The ratchet clicks when the evidence says that it costs nothing.",
    how: "Sign what you deploy: `plimsoll status --env ENV` lists which releases lack a signature. Going back to soft \
          needs a reason and is recorded: `plimsoll policy soften --env ENV --reason REASON`.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    facts.evidence.as_ref()?;
    let verification = &facts.policy.as_ref()?.verification;
    let coverage = &verification.coverage;
    let expected = format!(
        "more than {} of at least {} releases signed",
        percent(verification.threshold),
        verification.min_samples
    );
    let counted = format!(
        "{} of the last {} signed ({})",
        coverage.signed(),
        coverage.samples.len(),
        percent(coverage.share())
    );
    match verification.in_force(facts.at) {
        // Set by hand: coverage decides nothing.
        InForce::Soft | InForce::Mandatory => None,
        InForce::NotYet => compare(expected, format!("{counted}; verification is soft")).pass(),
        InForce::Escalating => {
            compare(expected, format!("{counted}; verification is mandatory from now on")).pass()
        }
        InForce::Escalated(escalated) => compare(
            expected,
            format!("{counted}; verification is mandatory since ledger entry {}", escalated.entry),
        )
        .pass(),
        InForce::Softened(softened) => compare(
            expected,
            format!(
                "{counted}; soft by {} in ledger entry {}: {}",
                softened.by, softened.entry, softened.reason
            ),
        )
        .warn(format!("verification is mandatory again from {}", softened.until)),
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use plimsoll_model::Outcome;

    use super::*;
    use crate::policy::tests::{SHA, assert_check, good};
    use crate::{Escalated, Sample, Softened, VerificationPolicy};

    fn with_coverage(signed: usize, all: usize, change: impl FnOnce(&mut VerificationPolicy)) -> Facts {
        let mut facts = good();
        if let Some(policy) = &mut facts.policy {
            let sha: plimsoll_model::Commit = SHA.parse().unwrap_or_else(|_| unreachable!("a commit"));
            policy.verification.coverage.samples =
                (0..all).map(|n| Sample { sha: sha.clone(), signed: n < signed }).collect();
            change(&mut policy.verification);
        }
        facts
    }

    fn in_force(facts: &Facts) -> Option<InForce> {
        facts.policy.as_ref().map(|policy| policy.verification.in_force(facts.at))
    }

    /// SIG-4: *more* than the share, of *at least* the samples.
    #[test]
    fn the_ratchet_clicks_above_the_threshold_over_enough_samples() {
        for (signed, all, mandatory) in
            [(9, 9, false), (9, 10, false), (10, 10, true), (18, 20, false), (19, 20, true), (0, 0, false)]
        {
            let facts = with_coverage(signed, all, |_| {});
            let expected = if mandatory { InForce::Escalating } else { InForce::NotYet };
            assert_eq!(in_force(&facts), Some(expected), "{signed} of {all}");
            assert_check(&facts, PAGE.code, Outcome::Pass, None);
        }
    }

    #[test]
    fn once_mandatory_it_stays_so_when_coverage_falls() {
        let escalated = Escalated { entry: 7, at: Timestamp::UNIX_EPOCH };
        let facts = with_coverage(1, 20, |policy| policy.coverage.escalated = Some(escalated.clone()));
        assert_eq!(in_force(&facts), Some(InForce::Escalated(escalated)));
    }

    #[test]
    fn softening_is_said_and_ends() {
        let soft_for = SignedDuration::from_hours(1);
        let mut facts = with_coverage(10, 10, |policy| {
            policy.coverage.escalated = Some(Escalated { entry: 7, at: Timestamp::UNIX_EPOCH });
            policy.coverage.softened = Some(Softened {
                entry: 9,
                at: Timestamp::UNIX_EPOCH,
                by: "ada".into(),
                reason: "the key is lost".into(),
                until: Timestamp::UNIX_EPOCH + soft_for,
            });
        });
        assert_check(&facts, PAGE.code, Outcome::Warn, None);
        facts.at = Timestamp::UNIX_EPOCH + soft_for;
        assert_check(&facts, PAGE.code, Outcome::Pass, None);
        assert!(in_force(&facts).is_some_and(|force| force.is_mandatory()));
    }
}
