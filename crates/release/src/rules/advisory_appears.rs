//! VER-022 `advisory-appears`.

use plimsoll_model::Page;

use super::{Judge, Rule, advisory_resolved, counted};
use crate::facts::Facts;
use crate::level::Meaning;

pub(super) const PAGE: Page = Page {
    code: "VER-022",
    name: "advisory-appears",
    what: "A published advisory affects a component of this release and none of the previous one.",
    why: "A release that brings a known weakness in is seldom meant; the version says nothing of it, the changelog does.",
    how: "Update the component, or say why it does not count in `[[sbom.policy.ignore]]`. Whether it may be deployed is \
          decided by SBM-002.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Contradiction(judge) };

fn judge(facts: &Facts, _: Meaning) -> Option<String> {
    let appeared = facts.dependencies.found()?.appeared.found()?;
    let first = advisory_resolved::cite(appeared).into_iter().next()?;
    let more = appeared.len() - 1;
    let more = if more == 0 { String::new() } else { format!(" and {}", counted(more, "other")) };
    Some(format!("the release brings in {first}{more}"))
}

#[cfg(test)]
mod tests {
    use plimsoll_model::Lookup;

    use super::advisory_resolved::tests::advisory;
    use super::*;
    use crate::facts::DependencyEvidence;
    use crate::rules::testing::{after, assert_next, assert_silent};

    #[test]
    fn a_new_advisory_is_named() {
        let evidence =
            DependencyEvidence { appeared: Lookup::Found(vec![advisory()]), ..DependencyEvidence::default() };
        let facts = Facts { dependencies: Lookup::Found(evidence), ..after("1.2.3") };
        assert_next(&facts, PAGE.code, "1.2.4");
        assert_silent(&after("1.2.3"), PAGE.code);
    }
}
