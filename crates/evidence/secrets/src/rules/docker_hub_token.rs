//! SEC-026 `docker-hub-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight, url_safe};

const PAGE: Page = Page {
    code: "SEC-026",
    name: "docker-hub-token",
    what: "A Docker Hub access token: `dckr_pat_` or `dckr_oat_`.",
    why: "It pulls private images and may push: whoever has it ships software in your name.",
    how: take_out!("Docker Hub"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["dckr_pat_", "dckr_oat_"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    sight.edges(url_safe, 27..=40)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text("{}\n", format!("dckr_pat_{}", noise(ALNUM, 27)))]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(&RULE, &samples(), &[miss(&format!("dckr_pat_{}", noise(ALNUM, 8)))]);
    }
}
