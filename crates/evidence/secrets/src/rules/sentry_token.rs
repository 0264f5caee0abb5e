//! SEC-042 `sentry-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight, base64_letter};

const PAGE: Page = Page {
    code: "SEC-042",
    name: "sentry-token",
    what: "A Sentry token of an organisation (`sntrys_`) or a user (`sntryu_`). A DSN is public and no finding.",
    why: "It reads events with personal data, and changes releases.",
    how: take_out!("Sentry"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["sntrys_", "sntryu_"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    sight.edges(|b| base64_letter(b) || matches!(b, b'=' | b'_' | b'-'), 64..=400)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, HEX, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::text("{}\n", format!("sntryu_{}", noise(HEX, 64))),
            Sample::text("{}\n", format!("sntrys_{}_{}", noise(ALNUM, 120), noise(ALNUM, 43))),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(&RULE, &samples(), &[miss(&format!("sntryu_{}", noise(HEX, 20)))]);
    }
}
