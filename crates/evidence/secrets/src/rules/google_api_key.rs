//! SEC-014 `google-api-key`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight, url_safe};

const PAGE: Page = Page {
    code: "SEC-014",
    name: "google-api-key",
    what: "A Google API key: `AIza` and 35 characters. A note: keys for browsers (maps, Firebase) are public by design, and look the same as keys for servers.",
    why: "A key without restrictions is billed to you by whoever has it.",
    how: "Restrict the key to the APIs and addresses that use it. A server key belongs in a secret of the environment.",
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["AIza"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    sight.edges(url_safe, 35..=35).map(Found::note)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text("{}\n", format!("AIza{}", noise(ALNUM, 35)))]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(&RULE, &samples(), &[miss(&format!("AIza{}", noise(ALNUM, 36)))]);
    }
}
