//! SBM-003 `advisory-coverage`.

use plimsoll_model::Page;

use super::{Judgement, Rule, compare};
use crate::{Demand, Facts};

pub(super) const PAGE: Page = Page {
    code: "SBM-003",
    name: "advisory-coverage",
    what: "The advisories are recent enough (`[sbom.policy] max_age`), and every component of the image belongs to an \
           ecosystem that they cover. `[sbom.policy] uncovered` says what an uncovered component means: `off`, `warn` \
           (default), `require`.",
    why: "\"Nothing found\" means nothing where nobody looked: unknown is not clean.",
    how: "`plimsoll sbom scan REF` lists the components that no advisory source covers. Add the missing ecosystem to \
          the advisory folder, or update the folder; the age of its newest advisory is shown with each scan.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let policy = &facts.policy.as_ref()?.advisories;
    let scan = facts.evidence.as_ref()?.scan.verified()?;
    if let Some(most) = policy.max_age_sec.filter(|most| scan.database_age_sec > *most) {
        return compare(
            format!("advisories of at most {}", days(most)),
            format!("{}: {} old", scan.source, days(scan.database_age_sec)),
        )
        .refuse("nothing was touched; update the advisory folder, then deploy again");
    }
    let expected = "every component covered by an advisory source";
    let compared = compare(
        expected,
        format!(
            "{} of {} components covered; advisories {} old",
            scan.components.saturating_sub(scan.uncovered),
            scan.components,
            days(scan.database_age_sec)
        ),
    );
    let hint = "`plimsoll sbom scan REF` lists them; add their ecosystem to the advisory folder";
    match policy.uncovered {
        _ if scan.uncovered == 0 => compared.pass(),
        Demand::Off => compared.pass(),
        Demand::Warn => compared.warn(format!("unknown is not clean: {hint}")),
        Demand::Require => compared.refuse(format!("nothing was touched; {hint}")),
    }
}

/// Days, or hours below two of them.
fn days(seconds: u64) -> String {
    const DAY: u64 = 24 * 3600;
    if seconds < 2 * DAY { format!("{} hours", seconds / 3600) } else { format!("{} days", seconds / DAY) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::Proof;
    use crate::policy::tests::{assert_check, good, scan, with_evidence};

    #[test]
    fn unknown_is_not_clean() {
        for (demand, outcome, class) in [
            (Demand::Off, Outcome::Pass, None),
            (Demand::Warn, Outcome::Warn, None),
            (Demand::Require, Outcome::Fail, Some(Class::Refused)),
        ] {
            let mut facts = with_evidence(good(), |evidence| {
                evidence.scan = Proof::Verified(crate::ScanFacts { uncovered: 2, ..scan() });
            });
            facts.policy.as_mut().unwrap().advisories.uncovered = demand;
            assert_check(&facts, PAGE.code, outcome, class);
        }
    }

    #[test]
    fn old_advisories_are_no_answer() {
        let mut facts = good();
        facts.policy.as_mut().unwrap().advisories.max_age_sec = Some(scan().database_age_sec - 1);
        assert_check(&facts, PAGE.code, Outcome::Fail, Some(Class::Refused));
    }
}
