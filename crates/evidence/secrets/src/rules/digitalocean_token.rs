//! SEC-018 `digitalocean-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight, lower_hex};

const PAGE: Page = Page {
    code: "SEC-018",
    name: "digitalocean-token",
    what: "A DigitalOcean token: `dop_v1_`, `doo_v1_` or `dor_v1_` and 64 hexadecimal digits.",
    why: "It manages servers, databases and DNS of the account.",
    how: take_out!("DigitalOcean"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["dop_v1_", "doo_v1_", "dor_v1_"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    sight.edges(lower_hex, 64..=64)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{HEX, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text("token = {}\n", format!("dop{}{}", "_v1_", noise(HEX, 64)))]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss(&format!("dop{}{}", "_v1_", noise(HEX, 63))),
                miss(&format!("dop{}{}", "_v1_", "0".repeat(64))),
            ],
        );
    }
}
