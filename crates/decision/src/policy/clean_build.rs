//! GRD-007 `clean-build`.

use plimsoll_model::Page;

use super::{Judgement, Rule, compare};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "GRD-007",
    name: "clean-build",
    what: "Where the environment demands it, the image was built without any cache of an earlier build (BLD-1).",
    why: "A reused target directory can carry things over that are in no commit, and such an image cannot be rebuilt \
          from its commit.",
    how: "Build it again without `--reuse-target`: `plimsoll build SHA`. Environments for trials may set \
          `clean_build = false`.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let metadata = &facts.recorded.found()?.metadata;
    if !facts.environment.clean_build {
        return None;
    }
    let found = if metadata.clean { "a clean build" } else { "a build with `--reuse-target`" };
    let compared = compare("a clean build", found);
    if metadata.clean {
        compared.pass()
    } else {
        // The tag of the unclean image cannot be moved, so the way out is a new commit.
        compared.refuse(
            "nothing was touched; its tag is taken by the unclean image: make a new commit and build it without `--reuse-target`",
        )
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::policy::tests::{assert_check, with_record};

    #[test]
    fn a_reused_target_is_refused_only_where_clean_builds_are_demanded() {
        let mut facts = with_record(|m| m.clean = false);
        assert_check(&facts, PAGE.code, Outcome::Fail, Some(Class::Refused));
        facts.environment.clean_build = false;
        assert!(RULE.check(&facts).is_none());
    }
}
