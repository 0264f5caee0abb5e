//! SEC-023 `npm-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::checksum;
use crate::sight::{Found, Sight, alphanumeric};

const PAGE: Page = Page {
    code: "SEC-023",
    name: "npm-token",
    what: "An npm access token: `npm_` and 36 characters with their right checksum.",
    why: "It installs private packages and may publish: whoever has it puts code into every service that uses them.",
    how: take_out!("npm (`npm token revoke`); in a build use a build secret, not a file"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["npm_"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let found = sight.edges(alphanumeric, 36..=36)?;
    checksum::is_right(&sight.text[sight.anchor.end..found.value.end]).then_some(found)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text("NPM={}\n", token())]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss(&format!("npm_{}", noise(ALNUM, 36))),
                miss("npm_config_user_agent_is_a_long_variable_name"),
            ],
        );
    }

    fn token() -> String {
        let body = noise(ALNUM, 30);
        format!("npm_{body}{}", String::from_utf8_lossy(&checksum::base62(body.as_bytes())))
    }
}
