//! GRD-003 `push-verified`.

use plimsoll_model::{DigestVerification, Page};

use super::{Judgement, Rule, compare};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "GRD-003",
    name: "push-verified",
    what: "The build pushed the image, fetched the manifest again and found the digest it had computed before (DIG-1).",
    why: "An image that was never pushed, or came back different, is not what the build made.",
    how: "Push what `build --no-push` stored with `plimsoll push SHA`; it verifies and records the digest.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let metadata = &facts.recorded.found()?.metadata;
    let sha = &facts.request.sha;
    let pre = metadata.pre_push_digest;
    match (metadata.digest_verification, metadata.post_push_digest) {
        (DigestVerification::Ok, Some(post)) if post == pre && metadata.pushed => {
            compare(format!("{pre} fetched back after the push"), post.to_string()).pass()
        }
        (DigestVerification::Skipped, None) if !metadata.pushed => {
            compare(format!("{pre} fetched back after the push"), "a build that was not pushed")
                .refuse(format!("nothing was touched; push it with `plimsoll push {sha}`"))
        }
        (_, post) => {
            let found = post.map_or_else(|| "no digest".into(), |post| post.to_string());
            compare(format!("{pre} fetched back after the push"), found).violation(format!(
                "nothing was touched; compare with `plimsoll verify {sha} --rebuild` and do not deploy it"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::policy::tests::{OTHER, assert_check, with_record};

    #[test]
    fn an_image_that_was_not_pushed_is_refused() {
        let facts = with_record(|m| {
            m.digest_verification = DigestVerification::Skipped;
            m.post_push_digest = None;
            m.pushed = false;
        });
        assert_check(&facts, PAGE.code, Outcome::Fail, Some(Class::Refused));
    }

    #[test]
    fn a_record_that_says_ok_over_other_digests_is_a_violation() {
        for verification in [DigestVerification::Ok, DigestVerification::Mismatch] {
            let facts = with_record(|m| {
                m.digest_verification = verification;
                m.post_push_digest = Some(OTHER);
            });
            assert_check(&facts, PAGE.code, Outcome::Fail, Some(Class::Integrity));
        }
    }
}
