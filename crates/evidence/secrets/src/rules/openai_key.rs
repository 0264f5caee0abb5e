//! SEC-035 `openai-key`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::mask::Mask;
use crate::placeholder::looks_generated;
use crate::sight::{Found, Sight, url_safe};

const PAGE: Page = Page {
    code: "SEC-035",
    name: "openai-key",
    what: "An OpenAI key: `sk-…` with the mark that all of them have in their middle.",
    why: "It is billed to you, and reads what the project stored.",
    how: take_out!("OpenAI"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["T3BlbkFJ"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let before = &sight.text[sight.anchor.start.saturating_sub(120)..sight.anchor.start];
    let first = before.iter().rev().take_while(|&&b| url_safe(b)).count();
    let start = sight.anchor.start - first;
    let length = sight.run(sight.anchor.end, url_safe, 120);
    let is_key = sight.text[start..].starts_with(b"sk-")
        && first >= 20
        && length >= 20
        && looks_generated(&sight.text[sight.anchor.end..sight.anchor.end + length]);
    is_key.then(|| Found::new(start..sight.anchor.end + length, Mask::Edges))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text("{}\n", format!("sk-proj-{}T3BlbkFJ{}", noise(ALNUM, 74), noise(ALNUM, 74)))]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[miss(&format!("{}T3BlbkFJ{}", noise(ALNUM, 20), noise(ALNUM, 20))), miss("T3BlbkFJ")],
        );
    }
}
