//! SEC-028 `hugging-face-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight};

const PAGE: Page = Page {
    code: "SEC-028",
    name: "hugging-face-token",
    what: "A Hugging Face token: `hf_` and 34 letters.",
    why: "It reads private models and data sets, and may write them.",
    how: take_out!("Hugging Face"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["hf_"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    sight.edges(|b| b.is_ascii_alphabetic(), 34..=34)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Sample, check, miss, noise};

    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text("{}\n", format!("hf_{}", noise(LETTERS, 34)))]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[miss(&format!("hf_{}", noise(LETTERS, 33))), miss(&format!("half_{}", noise(LETTERS, 34)))],
        );
    }
}
