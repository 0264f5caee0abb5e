//! SEC-027 `jfrog-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight, alphanumeric};

const PAGE: Page = Page {
    code: "SEC-027",
    name: "jfrog-token",
    what: "A JFrog API key (`AKCp…`, 73 characters) or reference token (`cmVmdGtu…`, 64).",
    why: "It reads and publishes packages and images of the organisation.",
    how: take_out!("JFrog"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["AKCp", "cmVmdGtu"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    match &sight.text[sight.anchor.clone()] {
        b"AKCp" => sight.edges(alphanumeric, 69..=69),
        _ => sight.edges(alphanumeric, 56..=56),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::text("key: {}\n", format!("AKCp{}", noise(ALNUM, 69))),
            Sample::text("key: {}\n", format!("cmVmdGtu{}", noise(ALNUM, 56))),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[miss(&format!("AKCp{}", noise(ALNUM, 80))), miss(&format!("xAKCp{}", noise(ALNUM, 69)))],
        );
    }
}
