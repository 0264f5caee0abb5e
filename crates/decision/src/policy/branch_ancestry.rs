//! GRD-006 `branch-ancestry`.

use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Lookup, Page, RepositoryType};

use super::{Judgement, Rule, compare};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "GRD-006",
    name: "branch-ancestry",
    what: "A commit that goes out from the canonical repository is on the main branch (BLD-5).",
    why: "What never landed on the main branch was never reviewed as part of it, and the next release would undo it.",
    how: "Merge it to the main branch and deploy the commit that is on it; for trials use an environment with \
          `repository = \"staging\"`. In CI fetch the whole history (`fetch-depth: 0`), or nothing can be said.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    // What was deployed before passed this rule then; going back must work
    // on a machine without the repository, too.
    if facts.environment.repository_type != RepositoryType::Canonical
        || facts.request.rollout == RolloutKind::Rollback
    {
        return None;
    }
    let (main, sha) = (&facts.environment.main_branch, &facts.request.sha);
    let compared = compare(
        format!("{} on branch `{main}`", sha.short()),
        facts.on_main_branch.describe(|on| if *on { "it is".into() } else { "it is not".into() }),
    );
    match &facts.on_main_branch {
        Lookup::Found(true) => compared.pass(),
        Lookup::Found(false) => compared.refuse(format!(
            "nothing was touched; merge it to `{main}` and deploy that commit, or use an environment with `repository = \"staging\"`"
        )),
        Lookup::Absent => compared.refuse(format!("nothing was touched; there is no branch `{main}` here: `git fetch origin {main}`, or correct `main_branch`")),
        Lookup::Invalid(_) | Lookup::Unknown(_) => {
            compared.unknown(format!("nothing was touched; fetch the history with `git fetch --unshallow origin {main}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::policy::tests::{assert_check, good};

    #[test]
    fn canonical_images_come_from_the_main_branch() {
        for (on_main_branch, class) in [
            (Lookup::Found(false), Class::Refused),
            (Lookup::Absent, Class::Refused),
            (Lookup::Unknown("shallow clone".into()), Class::Outside),
        ] {
            let facts = Facts { on_main_branch, ..good() };
            assert_check(&facts, PAGE.code, Outcome::Fail, Some(class));
        }
    }

    #[test]
    fn staging_takes_any_branch() {
        let mut facts = good();
        facts.environment.repository_type = RepositoryType::Staging;
        facts.on_main_branch = Lookup::Found(false);
        assert!(RULE.check(&facts).is_none());
    }
}
