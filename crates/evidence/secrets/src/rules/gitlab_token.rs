//! SEC-022 `gitlab-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight, url_safe};

const PAGE: Page = Page {
    code: "SEC-022",
    name: "gitlab-token",
    what: "A GitLab token: personal, deploy, runner, trigger, feed, SCIM, agent or OAuth (`glpat-`, `gldt-`, `glrt-`, `glptt-`, …).",
    why: "It reads and writes repositories, packages and pipelines of whoever made it.",
    how: take_out!("GitLab"),
};

pub(super) const RULE: Rule = Rule::anchored(
    &PAGE,
    Proof::Form,
    &[
        "glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glsoat-", "glffct-", "glft-", "glimt-", "glagent-",
        "gloas-",
    ],
    confirm,
);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    sight.edges(routable, 20..=300)
}

/// Routable tokens have three parts.
fn routable(b: u8) -> bool {
    url_safe(b) || b == b'.'
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, LOWER, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::text("{}\n", format!("glpat-{}", noise(ALNUM, 20))),
            Sample::text("{}\n", format!("glrt-{}.{}", noise(ALNUM, 40), noise(LOWER, 9))),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[miss(&format!("glpat-{}", noise(ALNUM, 12))), miss("glpat-xxxxxxxxxxxxxxxxxxxx")],
        );
    }
}
