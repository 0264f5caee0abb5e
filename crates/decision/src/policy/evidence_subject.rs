//! SIG-003 `evidence-subject`.

use plimsoll_model::Page;

use super::{Judgement, Rule, compare};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "SIG-003",
    name: "evidence-subject",
    what: "Every statement that is attached to the image is about this image: the subject's digest is the image's \
           (SBM-2). A difference is a violation, never a warning.",
    why: "A signature, SBOM or provenance of another image, attached to this one, is how a bad image borrows a good \
          name.",
    how: "See which statement it is with `plimsoll verify SHA`. Find out who attached it; remove that referrer from the \
          registry (`crane delete REPOSITORY@DIGEST`), and attach the right one with `plimsoll attest`.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let evidence = facts.evidence.as_ref()?;
    let expected = format!("statements about {}", evidence.digest);
    if evidence.foreign.is_empty() {
        return compare(expected, "no statement about another image").pass();
    }
    const SHOWN: usize = 2;
    let mut found: Vec<_> = evidence.foreign.iter().take(SHOWN).cloned().collect();
    if evidence.foreign.len() > SHOWN {
        found.push(format!("and {} more", evidence.foreign.len() - SHOWN));
    }
    compare(expected, found.join("; ")).violation(format!(
        "nothing was touched; look at it with `plimsoll verify {}` and find out who attached it",
        facts.request.sha
    ))
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::policy::tests::{assert_check, good, with_evidence};

    #[test]
    fn a_statement_about_another_image_is_a_violation() {
        let facts = with_evidence(good(), |evidence| evidence.foreign.push("sbom about sha256:08…".into()));
        assert_check(&facts, PAGE.code, Outcome::Fail, Some(Class::Integrity));
    }
}
