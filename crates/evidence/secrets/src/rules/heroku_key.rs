//! SEC-019 `heroku-key`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight, url_safe};

const PAGE: Page = Page {
    code: "SEC-019",
    name: "heroku-key",
    what: "A Heroku API key of the form `HRKU-…`.",
    why: "It deploys, and reads the configuration and the database of every application of the account.",
    how: take_out!("Heroku"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["HRKU-"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    sight.edges(url_safe, 36..=70)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text("HEROKU={}\n", format!("HRKU-{}", noise(ALNUM, 60)))]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[miss(&format!("HRKU-{}", noise(ALNUM, 20))), miss("HRKU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")],
        );
    }
}
