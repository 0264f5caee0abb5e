//! SBM-002 `advisories`.

use jiff::tz::TimeZone;
use plimsoll_model::Page;

use super::{Judgement, Rule, compare, demanded};
use crate::{AdvisoryPolicy, AdvisorySeverity, Facts, FindingFacts, Proof};

pub(super) const PAGE: Page = Page {
    code: "SBM-002",
    name: "advisories",
    what: "No published advisory of the severity in `[sbom.policy] fail_on` (default `high`) or above affects a \
           component of the image, as the advisories here know today (SBM-3). VEX statements and `[[sbom.policy.ignore]]` \
           entries with a reason, until their date, do not count.",
    why: "An image that was clean when it was built may not be clean when it is deployed: the advisories are looked at \
          again at each decision.",
    how: "Update the component to the version in `fixed_in`. Where it is not reachable, say so in \
          `[[sbom.policy.ignore]]` with `id`, `reason` and `until`, or attach a VEX statement. `plimsoll sbom scan \
          REF` shows everything.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let policy = &facts.policy.as_ref()?.advisories;
    let proof = &facts.evidence.as_ref()?.scan;
    let Proof::Verified(scan) = proof else {
        return demanded(facts, policy.scan, proof, "a scan for advisories", |_| String::new());
    };
    let fail_on = policy.fail_on?;
    let counts: Vec<_> = scan
        .findings
        .iter()
        .filter(|finding| finding.suppressed.is_none() && finding.severity >= fail_on)
        .filter(|finding| !ignored(finding, policy, facts))
        .collect();
    let refusing: Vec<_> =
        counts.iter().filter(|finding| !policy.fixable_only || finding.fixed_in.is_some()).collect();
    let expected = format!("no advisory of severity {fail_on} or above");
    let about = format!("{}, {} components", scan.source, scan.components);
    if let Some(first) = refusing.first() {
        let fix = first.fixed_in.as_deref().unwrap_or("no version yet");
        return compare(expected, format!("{}; {about}", listed(&counts))).refuse(format!(
            "nothing was touched; {} is fixed in {fix}: update it, or say why it does not count in [[sbom.policy.ignore]]",
            first.purl
        ));
    }
    let unrated = scan
        .findings
        .iter()
        .filter(|finding| finding.severity == AdvisorySeverity::Unknown && finding.suppressed.is_none())
        .filter(|finding| !ignored(finding, policy, facts))
        .collect::<Vec<_>>();
    if counts.is_empty() && !unrated.is_empty() {
        compare(expected, format!("{}; {about}", listed(&unrated))).warn(
            "these state no severity: look at them with `plimsoll sbom scan REF`; the deployment goes on",
        )
    } else if counts.is_empty() {
        compare(expected, format!("none; {about}")).pass()
    } else {
        compare(expected, format!("{}; {about}", listed(&counts)))
            .warn("none of them has a fix yet, and `fixable_only` is set: the deployment goes on")
    }
}

fn ignored(finding: &FindingFacts, policy: &AdvisoryPolicy, facts: &Facts) -> bool {
    let today = facts.at.to_zoned(TimeZone::UTC).date();
    policy.ignore.iter().any(|ignored| {
        let named = ignored.id == finding.id || finding.aliases.contains(&ignored.id);
        named && ignored.until.is_none_or(|until| today <= until)
    })
}

/// The worst few, and how many there are.
fn listed(findings: &[&FindingFacts]) -> String {
    const SHOWN: usize = 3;
    let mut text: Vec<_> = findings
        .iter()
        .take(SHOWN)
        .map(|finding| format!("{} ({}) in {}", finding.id, finding.severity, finding.purl))
        .collect();
    if findings.len() > SHOWN {
        text.push(format!("and {} more", findings.len() - SHOWN));
    }
    text.join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::Ignored;
    use crate::policy::tests::{assert_check, assert_demanded, good, scan, with_evidence};

    fn affected(
        severity: AdvisorySeverity,
        change: impl FnOnce(&mut FindingFacts, &mut AdvisoryPolicy),
    ) -> Facts {
        let mut finding = FindingFacts {
            id: "RUSTSEC-2026-0001".into(),
            aliases: vec!["CVE-2026-0001".into()],
            purl: "pkg:cargo/example@1.0.0".into(),
            severity,
            fixed_in: Some("1.0.1".into()),
            suppressed: None,
        };
        let mut facts = good();
        change(&mut finding, &mut facts.policy.as_mut().unwrap().advisories);
        let mut scan = scan();
        scan.findings.push(finding);
        with_evidence(facts, |evidence| evidence.scan = Proof::Verified(scan))
    }

    #[test]
    fn what_is_severe_enough_refuses() {
        for (severity, outcome, class) in [
            (AdvisorySeverity::Critical, Outcome::Fail, Some(Class::Refused)),
            (AdvisorySeverity::High, Outcome::Fail, Some(Class::Refused)),
            (AdvisorySeverity::Medium, Outcome::Pass, None),
            (AdvisorySeverity::Unknown, Outcome::Warn, None),
        ] {
            assert_check(&affected(severity, |_, _| {}), PAGE.code, outcome, class);
        }
    }

    /// By id or alias, up to and including the day, and only with a day in the future.
    #[test]
    fn an_ignored_one_does_not_count_until_its_day() {
        for (id, until, outcome) in [
            ("CVE-2026-0001", None, Outcome::Pass),
            ("RUSTSEC-2026-0001", Some("1970-01-01"), Outcome::Pass),
            ("RUSTSEC-2026-0001", Some("1969-12-31"), Outcome::Fail),
            ("CVE-2026-0002", None, Outcome::Fail),
        ] {
            let facts = affected(AdvisorySeverity::Critical, |_, policy| {
                let until = until.map(|day| day.parse().unwrap());
                policy.ignore.push(Ignored { id: id.into(), reason: "not reachable".into(), until });
            });
            assert_check(&facts, PAGE.code, outcome, (outcome == Outcome::Fail).then_some(Class::Refused));
        }
    }

    #[test]
    fn vex_suppresses_and_a_missing_fix_may_be_let_through() {
        let suppressed = affected(AdvisorySeverity::Critical, |finding, _| {
            finding.suppressed = Some("vulnerable_code_not_in_execute_path".into());
        });
        assert_check(&suppressed, PAGE.code, Outcome::Pass, None);
        let unfixed = affected(AdvisorySeverity::Critical, |finding, policy| {
            finding.fixed_in = None;
            policy.fixable_only = true;
        });
        assert_check(&unfixed, PAGE.code, Outcome::Warn, None);
    }

    #[test]
    fn a_scan_as_demanded() {
        assert_demanded(
            PAGE.code,
            |policy, demand| policy.advisories.scan = demand,
            |evidence, lack| evidence.scan = lack.into_proof(),
        );
    }
}
