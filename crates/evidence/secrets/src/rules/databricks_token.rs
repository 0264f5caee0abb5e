//! SEC-041 `databricks-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::mask::Mask;
use crate::placeholder::looks_generated;
use crate::sight::{Found, Sight, lower_hex};

const PAGE: Page = Page {
    code: "SEC-041",
    name: "databricks-token",
    what: "A Databricks token: `dapi` and 32 hexadecimal digits.",
    why: "It reads the data and runs code in the workspace.",
    how: take_out!("Databricks"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["dapi"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let length = sight.run(sight.anchor.end, lower_hex, 32);
    let end = sight.anchor.end + length;
    // A number may follow: `dapi…-2`.
    let is_whole = !sight.text.get(end).is_some_and(u8::is_ascii_alphanumeric);
    let is_token = length == 32
        && is_whole
        && sight.begins_word(sight.anchor.start)
        && looks_generated(&sight.text[sight.anchor.end..end]);
    is_token.then(|| Found::new(sight.anchor.start..end, Mask::Edges))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{HEX, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text("{}\n", format!("dapi{}", noise(HEX, 32)))]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[miss(&format!("dapi{}", noise(HEX, 40))), miss("dapi0123456789abcdef0123456789abcdef")],
        );
    }
}
