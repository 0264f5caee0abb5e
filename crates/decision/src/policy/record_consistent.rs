//! GRD-002 `record-consistent`.

use plimsoll_model::{BuildMetadata, Page};

use super::{Judgement, Rule, compare};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "GRD-002",
    name: "record-consistent",
    what: "The build record is about this commit and agrees with itself: commit, short commit, reference, digest, \
           repository.",
    why: "A record that was edited, or belongs to another build, would let another image pass as this one.",
    how: "Build again with `plimsoll build SHA`. If the record came from the ledger, run `plimsoll ledger verify`.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let metadata = &facts.recorded.found()?.metadata;
    let sha = &facts.request.sha;
    let expected = format!("a record about commit {sha} that agrees with itself");
    match contradiction(metadata, sha) {
        None => compare(expected, format!("{}", metadata.image_ref)).pass(),
        Some(found) => compare(expected, found)
            .violation(format!("nothing was touched; build again with `plimsoll build {sha}`")),
    }
}

fn contradiction(metadata: &BuildMetadata, sha: &plimsoll_model::Commit) -> Option<String> {
    let reference = &metadata.image_ref;
    if metadata.schema != BuildMetadata::SCHEMA {
        Some(format!("schema `{}`", metadata.schema))
    } else if &metadata.image_sha != sha {
        Some(format!("image_sha {}", metadata.image_sha))
    } else if metadata.short_sha != sha.short() {
        Some(format!("short_sha {}", metadata.short_sha))
    } else if reference.sha() != sha
        || reference.digest() != metadata.image_digest
        || reference.repository() != &metadata.repository
    {
        Some(format!("image_ref {reference}"))
    } else if metadata.pre_push_digest != metadata.image_digest {
        Some(format!("pre_push_digest {}", metadata.pre_push_digest))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_model::{Class, Outcome, PinnedRef};

    use super::*;
    use crate::policy::tests::{OTHER, assert_check, with_record};

    #[test]
    fn each_contradiction_is_a_violation() {
        let edits: [fn(&mut BuildMetadata); 6] = [
            |m| m.schema = "plimsoll/build/v9".into(),
            |m| m.image_sha = "f".repeat(40).parse().unwrap(),
            |m| m.short_sha = "f".repeat(12),
            |m| m.image_ref = PinnedRef::new(m.repository.clone(), m.image_sha.clone(), OTHER),
            |m| m.repository = "registry.example.com/acme/other".parse().unwrap(),
            |m| m.pre_push_digest = OTHER,
        ];
        for edit in edits {
            assert_check(&with_record(edit), PAGE.code, Outcome::Fail, Some(Class::Integrity));
        }
    }
}
