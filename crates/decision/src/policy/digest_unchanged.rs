//! DIG-002 `digest-unchanged`.

use plimsoll_model::Page;

use super::{Judgement, Rule, compare};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "DIG-002",
    name: "digest-unchanged",
    what: "The manifest under the full tag, fetched now and hashed here, has the digest the build recorded (DIG-2).",
    why: "A tag that points to other bytes than the build produced means that the image was replaced, by mistake or \
          by an attacker.",
    how: "Do not deploy. Compare with `plimsoll verify SHA --rebuild`; find out who pushed; build a new commit.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let recorded = facts.recorded_digest()?;
    let live = facts.full_tag.found()?.digest;
    let compared = compare(recorded.to_string(), live.to_string());
    if live == recorded {
        compared.pass()
    } else {
        let sha = &facts.request.sha;
        compared.violation(format!(
            "nothing was touched; the tag was moved: compare with `plimsoll verify {sha} --rebuild` before anything else"
        ))
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Lookup, Outcome};

    use super::*;
    use crate::ManifestFacts;
    use crate::policy::tests::{OTHER, assert_check, good, good_rollback};

    #[test]
    fn another_digest_under_the_tag_is_a_violation_for_deploy_and_rollback() {
        for mut facts in [good(), good_rollback()] {
            if let Lookup::Found(ManifestFacts { digest, .. }) = &mut facts.full_tag {
                *digest = OTHER;
            }
            assert_check(&facts, PAGE.code, Outcome::Fail, Some(Class::Integrity));
        }
    }
}
