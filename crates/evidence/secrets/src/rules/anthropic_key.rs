//! SEC-036 `anthropic-key`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight, url_safe};

const PAGE: Page = Page {
    code: "SEC-036",
    name: "anthropic-key",
    what: "An Anthropic key: `sk-ant-api…`, `sk-ant-admin…`, `sk-ant-oat…`.",
    why: "It is billed to you, and reads what the workspace stored.",
    how: take_out!("Anthropic"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["sk-ant-"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    sight.edges(url_safe, 80..=140)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text("{}\n", format!("sk-ant-{}03-{}AA", "api", noise(ALNUM, 93)))]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss(&format!("sk-ant-{}", noise(ALNUM, 20))),
                miss(&format!("sk-ant-api03-{}", "x".repeat(93))),
            ],
        );
    }
}
