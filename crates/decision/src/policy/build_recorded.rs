//! GRD-001 `build-recorded`.

use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Lookup, Page};

use super::{Judgement, Rule, compare};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "GRD-001",
    name: "build-recorded",
    what: "There is a record of the build of this commit for the repository that the environment uses: in the \
           ledger, or in the file given with `--metadata`.",
    why: "The record says which digest the build produced. Without it the registry's word is all there is, and \
          whoever can write to the registry could decide what runs.",
    how: "Build the commit with `plimsoll build SHA` where the ledger is, or hand over what another machine's \
          `plimsoll build --output json` printed: `plimsoll deploy SHA --env ENV --metadata build.json`.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let sha = &facts.request.sha;
    let found = facts.recorded.describe(|recorded| recorded.source.clone());
    let compared = compare(format!("a record of the build of {}", sha.short()), found);
    match &facts.recorded {
        Lookup::Found(_) => compared.pass(),
        Lookup::Absent if facts.request.rollout == RolloutKind::Rollback => compared.refuse(format!(
            "nothing was touched; where it was built, `plimsoll show {sha}` says what is known; an image without a \
             record here can only be deployed: `plimsoll deploy {sha} --env {} --metadata FILE`",
            facts.request.environment
        )),
        Lookup::Absent => compared.refuse(format!(
            "nothing was touched; build it with `plimsoll build {sha}`, or pass the build's JSON with `--metadata FILE`"
        )),
        Lookup::Invalid(_) => compared.violation("nothing was touched; run `plimsoll ledger verify`"),
        Lookup::Unknown(_) => compared.unknown("nothing was touched; run `plimsoll doctor`"),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::policy::tests::{assert_check, good};

    #[test]
    fn four_answers_four_verdicts() {
        for (recorded, class) in [
            (Lookup::Absent, Class::Refused),
            (Lookup::Invalid("not JSON".into()), Class::Integrity),
            (Lookup::Unknown("disk".into()), Class::Outside),
        ] {
            let facts = Facts { recorded, ..good() };
            assert_check(&facts, PAGE.code, Outcome::Fail, Some(class));
        }
    }
}
