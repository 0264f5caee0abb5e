//! SEC-040 `grafana-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight, alphanumeric, base64_letter, lower_hex};

const PAGE: Page = Page {
    code: "SEC-040",
    name: "grafana-token",
    what: "A Grafana service account token (`glsa_`, with its checksum) or cloud token (`glc_`).",
    why: "It reads dashboards and data sources, and may change alerts.",
    how: take_out!("Grafana"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["glsa_", "glc_eyJ"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    match &sight.text[sight.anchor.clone()] {
        b"glsa_" => {
            let found = sight.edges(|b| alphanumeric(b) || b == b'_', 41..=41)?;
            let body = &sight.text[sight.anchor.end..found.value.end];
            // 32 characters and, after `_`, eight hexadecimal digits.
            (body[32] == b'_' && body[33..].iter().all(|&b| lower_hex(b))).then_some(found)
        }
        _ => sight.edges(base64_letter, 40..=400),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, HEX, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::text("{}\n", format!("glsa_{}_{}", noise(ALNUM, 32), noise(HEX, 8))),
            Sample::text("{}\n", format!("glc_{}{}", "eyJ", noise(ALNUM, 100))),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(&RULE, &samples(), &[miss(&format!("glsa_{}_{}", noise(ALNUM, 32), "zzzzzzzz"))]);
    }
}
