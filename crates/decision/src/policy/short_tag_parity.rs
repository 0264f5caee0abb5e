//! TAG-002 `short-tag-parity`.

use plimsoll_model::{Lookup, Page};

use super::{Judgement, Rule, compare};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "TAG-002",
    name: "short-tag-parity",
    what: "The 12-character short tag resolves to the same digest as the full tag (TAG-2).",
    why: "People read and type the short one. If the two differ, somebody looks at one image while another runs.",
    how: "`plimsoll verify SHA` shows both digests. A missing short tag is published by `plimsoll push SHA`; one that \
          points elsewhere was moved by somebody: find out who before anything else.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let sha = &facts.request.sha;
    // The full tag's own rule speaks where there is nothing to compare with.
    let full = facts.full_tag.found()?.digest;
    let compared =
        compare(format!("{full} under {}", sha.short()), facts.short_tag.describe(ToString::to_string));
    match &facts.short_tag {
        Lookup::Found(short) if *short == full => compared.pass(),
        Lookup::Found(_) | Lookup::Invalid(_) => {
            compared.violation(format!("nothing was touched; look at both tags with `plimsoll verify {sha}`"))
        }
        Lookup::Absent => {
            compared.refuse(format!("nothing was touched; publish it with `plimsoll push {sha}`"))
        }
        Lookup::Unknown(_) if facts.registry_is_dispensable() => {
            compared.warn("the short tag could not be looked up; the target holds the image by digest")
        }
        Lookup::Unknown(_) => {
            compared.unknown("nothing was touched; check the registry with `plimsoll doctor`")
        }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::policy::tests::{OTHER, assert_check, good};

    #[test]
    fn the_two_tags_must_agree() {
        for (short_tag, class) in [
            (Lookup::Found(OTHER), Class::Integrity),
            (Lookup::Absent, Class::Refused),
            (Lookup::Unknown("timed out".into()), Class::Outside),
        ] {
            let facts = Facts { short_tag, ..good() };
            assert_check(&facts, PAGE.code, Outcome::Fail, Some(class));
        }
    }
}
