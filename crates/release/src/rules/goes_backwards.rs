//! VER-032 `goes-backwards`.

use plimsoll_model::Page;

use super::{Judge, Judgement, Rule, compare};
use crate::check::Claim;

pub(super) const PAGE: Page = Page {
    code: "VER-032",
    name: "goes-backwards",
    what: "The version is greater than that of the release before it, by the precedence of SemVer 2.0.0.",
    why: "Tools that look for the newest version would go on taking the older release.",
    how: "Release the version that `plimsoll version next` prints. To serve an older release again, use \
          `plimsoll rollback`: it needs no version.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Claim(judge) };

fn judge(claim: &Claim<'_>) -> Option<Judgement> {
    let version = claim.proposed.found()?;
    let previous = claim.facts.previous.found()?;
    let compared =
        compare(format!("a version after {} ({})", previous.version, previous.name), version.to_string());
    if version.cmp_precedence(&previous.version).is_lt() {
        let least = claim.next.version.as_ref().map_or(String::new(), |least| format!(" {least} or later"));
        return compared.refuse(format!("call it{least}; `plimsoll version next` says why"));
    }
    compared.pass()
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Lookup, Outcome};

    use super::*;
    use crate::facts::Facts;
    use crate::rules::testing::{after, assert_claim};

    #[test]
    fn a_version_comes_after_the_previous_one() {
        let facts = after("1.10.0");
        for (version, outcome) in [
            ("1.9.0", Outcome::Fail),
            ("1.10.0-rc.1", Outcome::Fail),
            // That it was released before is said by another rule.
            ("1.10.0", Outcome::Pass),
            ("1.10.1", Outcome::Pass),
        ] {
            let class = (outcome == Outcome::Fail).then_some(Class::Refused);
            assert_claim(&facts, Some(version), PAGE.code, outcome, class);
        }
        let first = Facts { previous: Lookup::Absent, ..facts };
        let checked = crate::check(&first, Some(&semver::Version::new(0, 1, 0)));
        assert!(checked.decision.checks.iter().all(|check| check.code != PAGE.code));
    }
}
