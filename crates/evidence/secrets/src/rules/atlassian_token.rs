//! SEC-043 `atlassian-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight, url_safe};

const PAGE: Page = Page {
    code: "SEC-043",
    name: "atlassian-token",
    what: "An Atlassian API token: `ATATT3xFfGF0…` (Jira, Confluence), `ATCTT3xFfGN0…` (Bitbucket repositories), `ATSTT3x…`.",
    why: "It reads and writes issues, pages and repositories of whoever made it.",
    how: take_out!("Atlassian"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["ATATT3x", "ATCTT3x", "ATSTT3x"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    sight.edges(|b| url_safe(b) || b == b'=', 100..=260)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text("{}\n", format!("ATATT3x{}{}=1A2B3C4D", "FfGF0", noise(ALNUM, 170)))]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(&RULE, &samples(), &[miss(&format!("ATATT3x{}", noise(ALNUM, 30)))]);
    }
}
