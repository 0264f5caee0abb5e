//! SEC-030 `slack-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight, url_safe};

const PAGE: Page = Page {
    code: "SEC-030",
    name: "slack-token",
    what: "A Slack token: bot, user, app, refresh or session (`xoxb-`, `xoxp-`, `xoxa-`, `xoxe-`, `xoxr-`, `xoxs-`, `xapp-`).",
    why: "It reads and writes messages of the workspace.",
    how: take_out!("Slack"),
};

pub(super) const RULE: Rule = Rule::anchored(
    &PAGE,
    Proof::Form,
    &["xoxb-", "xoxp-", "xoxa-", "xoxe-", "xoxe.", "xoxr-", "xoxs-", "xapp-"],
    confirm,
);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let found = sight.edges(url_safe, 36..=400)?;
    // Numbers of workspace and user come first in all of them.
    let body = &sight.text[sight.anchor.end..found.value.end];
    (body.iter().filter(|b| b.is_ascii_digit()).count() >= 8 && body.contains(&b'-')).then_some(found)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text(
            "{}\n",
            format!("xoxb-{}-{}-{}", "730191371696", "1413868247813", noise(ALNUM, 24)),
        )]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss("xoxb-not-a-real-token-but-a-long-text-for-a-test"),
                miss("xoxb-1234567890-1234567890-abcdefghijklmnopqrstuvwx"),
            ],
        );
    }
}
