//! SEC-045 `shopify-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight};

const PAGE: Page = Page {
    code: "SEC-045",
    name: "shopify-token",
    what: "A Shopify token: `shpat_`, `shpca_`, `shppa_` or `shpss_` and 32 hexadecimal digits.",
    why: "It reads customers and orders of the shop.",
    how: take_out!("Shopify"),
};

pub(super) const RULE: Rule =
    Rule::anchored(&PAGE, Proof::Form, &["shpat_", "shpca_", "shppa_", "shpss_"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    sight.edges(|b| b.is_ascii_hexdigit(), 32..=32)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{HEX, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text("{}\n", format!("shpat{}{}", "_", noise(HEX, 32)))]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(&RULE, &samples(), &[miss(&format!("shpat_{}", noise(HEX, 31)))]);
    }
}
