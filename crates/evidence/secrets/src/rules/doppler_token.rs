//! SEC-038 `doppler-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight, url_safe};

const PAGE: Page = Page {
    code: "SEC-038",
    name: "doppler-token",
    what: "A Doppler token: personal, service, CLI, service account, SCIM or audit (`dp.pt.`, `dp.st.`, `dp.ct.`, `dp.sa.`, `dp.scim.`, `dp.audit.`).",
    why: "It opens the place where the other secrets are.",
    how: take_out!("Doppler"),
};

pub(super) const RULE: Rule = Rule::anchored(
    &PAGE,
    Proof::Form,
    &["dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit."],
    confirm,
);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    sight.edges(|b| url_safe(b) || b == b'.', 40..=80)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::text("{}\n", format!("dp.st.prd.{}", noise(ALNUM, 43))),
            Sample::text("{}\n", format!("dp.pt.{}", noise(ALNUM, 43))),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[miss(&format!("dp.pt.{}", noise(ALNUM, 20))), miss(&format!("udp.st.{}", noise(ALNUM, 43)))],
        );
    }
}
