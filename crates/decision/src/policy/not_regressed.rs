//! DEP-201 `not-rolled-back-before`.

use plimsoll_model::Page;
use plimsoll_model::event::RolloutKind;

use super::{Judgement, Rule, compare};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "DEP-201",
    name: "not-rolled-back-before",
    what: "The commit was not taken back from this environment by the watch since it last served here whole (DEP-6): it \
           had requests, was judged worse than what served, and the previous release was put back by itself.",
    why: "Whatever deploys by itself would deploy it again, and again, and users would meet it each time.",
    how: "Mend it in a new commit. If the cause was elsewhere: `plimsoll deploy SHA --env ENV --retry REASON`, recorded with \
          your name. `plimsoll watch replay` shows what was seen.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let regressed = facts.regressed.as_ref()?;
    if facts.request.rollout == RolloutKind::Rollback {
        return None;
    }
    compare("a commit that was not taken back here", format!("taken back at {}: {}", regressed.at, regressed.reason))
        .refuse(format!(
            "nothing was touched; ledger entry {} has the evidence; mend it in a new commit, or answer for it with `--retry REASON`",
            regressed.entry
        ))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::Regressed;
    use crate::policy::tests::{assert_check, good};

    #[test]
    fn what_was_taken_back_is_not_tried_again_by_itself() {
        let reason = "payout failures: regressed".to_owned();
        let regressed = Some(Regressed { entry: 41, at: Timestamp::UNIX_EPOCH, reason });
        assert_check(&Facts { regressed, ..good() }, PAGE.code, Outcome::Fail, Some(Class::Refused));
    }
}
