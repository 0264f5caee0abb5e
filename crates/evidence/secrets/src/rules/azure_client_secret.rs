//! SEC-017 `entra-client-secret`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::mask::Mask;
use crate::placeholder::looks_generated;
use crate::sight::{Found, Sight};

const PAGE: Page = Page {
    code: "SEC-017",
    name: "entra-client-secret",
    what: "A client secret of Microsoft Entra ID: three characters, a digit, `Q~`, and 31 to 34 characters.",
    why: "It logs in as the application, with all that it may do.",
    how: take_out!("Microsoft Entra ID; use a managed identity or a federated credential instead"),
};

pub(super) const RULE: Rule = Rule::anchored(
    &PAGE,
    Proof::Form,
    &["0Q~", "1Q~", "2Q~", "3Q~", "4Q~", "5Q~", "6Q~", "7Q~", "8Q~", "9Q~"],
    confirm,
);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'~' | b'.' | b'-');
    let length = sight.run(sight.anchor.end, letter, 34);
    let start = sight.anchor.start.checked_sub(3)?;
    let is_secret = (31..=34).contains(&length)
        && sight.text[start..sight.anchor.start].iter().all(|&b| letter(b))
        && sight.begins_word(start)
        && looks_generated(&sight.text[sight.anchor.end..sight.anchor.end + length]);
    is_secret.then(|| Found::new(start..sight.anchor.end + length, Mask::Edges))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text("AZURE_CLIENT={}\n", format!("kJd8Q~{}", noise(ALNUM, 34)))]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(&RULE, &samples(), &[miss(&format!("kJd8Q~{}", noise(ALNUM, 20)))]);
    }
}
