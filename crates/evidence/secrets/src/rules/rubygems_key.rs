//! SEC-029 `rubygems-key`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight, lower_hex};

const PAGE: Page = Page {
    code: "SEC-029",
    name: "rubygems-key",
    what: "A RubyGems API key: `rubygems_` and 48 hexadecimal digits.",
    why: "It publishes gems: whoever has it puts code into every service that uses them.",
    how: take_out!("RubyGems"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["rubygems_"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    sight.edges(lower_hex, 48..=48)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{HEX, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text(":rubygems_api_key: {}\n", format!("rubygems{}{}", "_", noise(HEX, 48)))]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(&RULE, &samples(), &[miss("rubygems_api_key"), miss(&format!("rubygems_{}", noise(HEX, 40)))]);
    }
}
