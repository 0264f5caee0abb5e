//! VER-033 `says-less`.

use plimsoll_model::Page;

use super::{Judge, Judgement, Rule, compare};
use crate::check::Claim;
use crate::level::base;

pub(super) const PAGE: Page = Page {
    code: "VER-033",
    name: "says-less",
    what: "The version says at least as much as the evidence: a break has a major version from 1.0 on and a minor one \
           before, an addition a minor one. A version that says more is fine.",
    why: "A patch version that breaks clients is installed by everybody who believes in versions.",
    how: "Release at least the version that `plimsoll version next` prints, or undo the change that demands it.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Claim(judge) };

fn judge(claim: &Claim<'_>) -> Option<Judgement> {
    let version = claim.proposed.found()?;
    let least = claim.next.version.as_ref()?;
    claim.facts.previous.found()?;
    let strongest = claim.next.reasons.first();
    let why = strongest.map_or(String::new(), |reason| format!(": {} ({})", reason.message, reason.rule));
    let compared = compare(format!("at least {least} ({}{why})", claim.next.level), version.to_string());
    // A pre-release says as much as the release that it announces.
    if base(version) >= base(least) {
        return compared.pass();
    }
    compared.refuse(format!(
        "call it {least} or later, or undo what demands it; `plimsoll version next` shows all reasons"
    ))
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Lookup, Outcome};

    use super::*;
    use crate::facts::{ApiLevel, Facts, StepClass};
    use crate::rules::testing::{after, api, assert_claim, schema};

    /// VER-1: enforced by the guard.
    #[test]
    fn a_version_says_what_the_evidence_says() {
        let broken = |previous| Facts { api: api(ApiLevel::Breaking), ..after(previous) };
        for (facts, version, outcome) in [
            (broken("1.2.3"), "1.3.0", Outcome::Fail),
            (broken("1.2.3"), "2.0.0", Outcome::Pass),
            (broken("1.2.3"), "2.0.0-rc.1", Outcome::Pass),
            (broken("1.2.3"), "3.1.0", Outcome::Pass),
            (broken("0.2.3"), "0.2.4", Outcome::Fail),
            (broken("0.2.3"), "0.3.0", Outcome::Pass),
            (broken("0.2.3"), "1.0.0", Outcome::Pass),
            (Facts { schema: schema(StepClass::Expand), ..after("1.2.3") }, "1.2.4", Outcome::Fail),
            (after("1.2.3"), "1.2.4", Outcome::Pass),
        ] {
            let class = (outcome == Outcome::Fail).then_some(Class::Refused);
            assert_claim(&facts, Some(version), PAGE.code, outcome, class);
        }
        let first = Facts { previous: Lookup::Absent, ..broken("1.2.3") };
        assert!(crate::check(&first, Some(&semver::Version::new(0, 0, 1))).decision.allowed);
    }
}
