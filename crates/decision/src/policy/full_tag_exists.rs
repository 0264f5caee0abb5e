//! TAG-001 `full-tag-exists`.

use plimsoll_model::{Lookup, Page};

use super::{Judgement, Rule, compare};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "TAG-001",
    name: "full-tag-exists",
    what: "The registry has the tag that is the full 40-character commit SHA, asked live at this moment.",
    why: "What the record says was pushed may be gone; then nothing could be pulled and nothing could go back to it.",
    how: "Push it again from where it was built: `plimsoll push SHA`. If the registry cannot be reached, `plimsoll \
          doctor` says why.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let (repository, sha) = (&facts.environment.repository, &facts.request.sha);
    let compared = compare(
        format!("tag {sha} in {repository}"),
        facts.full_tag.describe(|manifest| manifest.digest.to_string()),
    );
    match &facts.full_tag {
        Lookup::Found(_) => compared.pass(),
        Lookup::Absent if facts.registry_is_dispensable() => compared
            .warn(format!("the target still holds the image by digest; push it again with `plimsoll push {sha}`")),
        Lookup::Unknown(_) if facts.registry_is_dispensable() => {
            compared.warn("the registry could not be asked; the target still holds the image by digest, so going back needs no pull")
        }
        Lookup::Absent => compared.refuse(format!(
            "nothing was touched; push it with `plimsoll push {sha}` where it was built, or build it again with `plimsoll build {sha}`"
        )),
        Lookup::Invalid(_) => compared.violation(format!("nothing was touched; look at it with `plimsoll verify {sha}`")),
        Lookup::Unknown(_) => compared.unknown("nothing was touched; check the registry and your credentials with `plimsoll doctor`"),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::policy::tests::{assert_check, good};

    #[test]
    fn absent_is_not_unreachable_is_not_invalid() {
        for (full_tag, class) in [
            (Lookup::Absent, Class::Refused),
            (Lookup::Invalid("not JSON".into()), Class::Integrity),
            (Lookup::Unknown("429 after 5 tries".into()), Class::Outside),
        ] {
            let facts = Facts { full_tag, ..good() };
            assert_check(&facts, PAGE.code, Outcome::Fail, Some(class));
        }
    }
}
