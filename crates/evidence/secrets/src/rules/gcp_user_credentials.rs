//! SEC-013 `google-refresh-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight, url_safe};

const PAGE: Page = Page {
    code: "SEC-013",
    name: "google-refresh-token",
    what: "A refresh token or client secret of Google OAuth: `1//0…` under `refresh_token`, or `GOCSPX-…`.",
    why: "A refresh token acts as the person who logged in, from anywhere, until it is revoked.",
    how: take_out!("Google (`gcloud auth revoke`)"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["1//0", "GOCSPX-"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    if sight.text[sight.anchor.clone()] == *b"GOCSPX-" {
        return sight.edges(url_safe, 28..=28);
    }
    let found = sight.edges(url_safe, 60..=200)?;
    let before = &sight.text[sight.anchor.start.saturating_sub(40)..sight.anchor.start];
    memchr::memmem::find(before, b"efresh").map(|_| found)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::file(
                "root/.config/gcloud/application_default_credentials.json",
                "{\"refresh_token\": \"{}\", \"type\": \"authorized_user\"}",
                format!("1//0{}", noise(ALNUM, 96)),
            ),
            Sample::text("client_secret={}\n", format!("GOCSPX-{}", noise(ALNUM, 28))),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[miss(&format!("1//0{}", noise(ALNUM, 96))), miss("GOCSPX-xxxxxxxxxxxxxxxxxxxxxxxxxxxx")],
        );
    }
}
