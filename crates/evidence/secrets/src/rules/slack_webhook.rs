//! SEC-031 `slack-webhook`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::mask::Mask;
use crate::placeholder::looks_generated;
use crate::sight::{Found, Sight, url_safe};

const PAGE: Page = Page {
    code: "SEC-031",
    name: "slack-webhook",
    what: "An incoming webhook of Slack, Discord or Microsoft Teams with its secret path.",
    why: "Whoever has the address writes into the channel as your service.",
    how: take_out!("the chat service"),
};

pub(super) const RULE: Rule = Rule::anchored(
    &PAGE,
    Proof::Form,
    &["hooks.slack.com/", "/api/webhooks/", "webhook.office.com/"],
    confirm,
);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let at = sight.anchor.end;
    let length = sight.run(at, |b| url_safe(b) || matches!(b, b'/' | b'@'), 300);
    let path = &sight.text[at..at + length];
    let last = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let is_secret = match &sight.text[sight.anchor.clone()] {
        // Workspace, channel, 24 characters.
        b"hooks.slack.com/" => {
            path.starts_with(b"services/T") && last.len() == 24 && path.split(|&b| b == b'/').count() == 4
        }
        // A snowflake, and 68 characters.
        b"/api/webhooks/" => path.starts_with(b"1") && last.len() >= 60,
        _ => last.len() >= 36 && memchr::memmem::find(path, b"IncomingWebhook").is_some(),
    };
    (is_secret && looks_generated(last))
        .then(|| Found::new(at + length - last.len()..at + length, Mask::Edges))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::text("https://hooks.slack.com/services/T02AB3CD4/B05EF6GH7/{}\n", noise(ALNUM, 24)),
            Sample::text("https://discord.com/api/webhooks/1100000000000000001/{}\n", noise(ALNUM, 68)),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss("https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"),
                miss("https://hooks.slack.com/services/"),
            ],
        );
    }
}
