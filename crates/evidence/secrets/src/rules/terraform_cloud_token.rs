//! SEC-039 `terraform-cloud-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::mask::Mask;
use crate::placeholder::looks_generated;
use crate::sight::{Found, Sight, alphanumeric, url_safe};

const PAGE: Page = Page {
    code: "SEC-039",
    name: "terraform-cloud-token",
    what: "A HCP Terraform token: 14 characters, `.atlasv1.`, 60 to 70 characters.",
    why: "It plans and applies infrastructure, and reads state with its secrets.",
    how: take_out!("HCP Terraform"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &[".atlasv1."], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let start = sight.anchor.start.checked_sub(14)?;
    let length = sight.run(sight.anchor.end, url_safe, 70);
    let value = start..sight.anchor.end + length;
    let is_token = (60..=70).contains(&length)
        && sight.text[start..sight.anchor.start].iter().all(|&b| alphanumeric(b))
        && sight.begins_word(start)
        && looks_generated(&sight.text[sight.anchor.end..value.end]);
    is_token.then(|| Found::new(value, Mask::Edges))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text("{}\n", format!("{}.atlasv1.{}", noise(ALNUM, 14), noise(ALNUM, 67)))]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss(&format!("{}.atlasv1.{}", noise(ALNUM, 14), noise(ALNUM, 20))),
                miss("xxxxxx.atlasv1.zzzzzzzzzzzzz"),
            ],
        );
    }
}
