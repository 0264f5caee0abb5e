//! SEC-037 `vault-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight, url_safe};

const PAGE: Page = Page {
    code: "SEC-037",
    name: "vault-token",
    what: "A HashiCorp Vault token: service (`hvs.`), batch (`hvb.`) or recovery (`hvr.`).",
    why: "It opens the place where the other secrets are.",
    how: take_out!("Vault"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["hvs.", "hvb.", "hvr."], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let found = sight.edges(url_safe, 24..=300)?;
    // `hvs.createElementForSomething` is code.
    sight.text[found.value.clone()].iter().any(u8::is_ascii_digit).then_some(found)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::text("{}\n", format!("hvs.{}", noise(ALNUM, 90))),
            Sample::text("{}\n", format!("hvs.{}", noise(ALNUM, 24))),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[miss(&format!("hvs.{}", noise(ALNUM, 12))), miss("hvs.createElementNamespaceFor")],
        );
    }
}
