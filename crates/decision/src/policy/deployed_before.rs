//! RBK-001 `deployed-before`.

use plimsoll_model::Page;
use plimsoll_model::event::RolloutKind;

use super::{Judgement, Rule, compare};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "RBK-001",
    name: "deployed-before",
    what: "A rollback goes to an image that has served in this environment before (RBK-1).",
    why: "Going back is for moments when nothing should be tried out; an image that never ran here is a deployment.",
    how: "`plimsoll status --env ENV` lists where one can go back to. For anything else use `plimsoll deploy`.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    if facts.request.rollout != RolloutKind::Rollback {
        return None;
    }
    let (sha, environment) = (&facts.request.sha, &facts.request.environment);
    let found = if facts.deployed_before { "it was" } else { "it never was" };
    let compared = compare(format!("{} deployed to `{environment}` before", sha.short()), found);
    if facts.deployed_before {
        compared.pass()
    } else {
        compared.refuse(format!(
            "nothing was touched; see where one can go back to with `plimsoll status --env {environment}`"
        ))
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::policy::tests::{assert_check, good_rollback};

    #[test]
    fn only_what_served_here_can_be_gone_back_to() {
        let facts = Facts { deployed_before: false, ..good_rollback() };
        assert_check(&facts, PAGE.code, Outcome::Fail, Some(Class::Refused));
    }
}
