//! SEC-033 `twilio-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::mask::Mask;
use crate::placeholder::looks_generated;
use crate::sight::{Found, Sight, alphanumeric, url_safe};

const PAGE: Page = Page {
    code: "SEC-033",
    name: "twilio-token",
    what: "A Twilio auth token or API secret: 32 characters named as Twilio's, as in `TWILIO_AUTH_TOKEN=…`.",
    why: "It sends messages and makes calls that are billed to you, and reads those that were sent.",
    how: take_out!("Twilio"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["wilio", "WILIO"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    // `TWILIO_AUTH_TOKEN = "…"`, `twilio.authToken: …`.
    let length = sight.run(sight.anchor.end, |b| url_safe(b) || b == b'.', 40);
    let name = sight.text[sight.anchor.end..sight.anchor.end + length].to_ascii_lowercase();
    if !name.ends_with(b"token") && !name.ends_with(b"secret") {
        return None;
    }
    let at = sight.value_after(sight.anchor.end + length)?;
    let length = sight.run(at, alphanumeric, 32);
    (length == 32 && looks_generated(&sight.text[at..at + 32])).then(|| Found::new(at..at + 32, Mask::Edges))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{HEX, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::text("TWILIO_AUTH_TOKEN={}\n", noise(HEX, 32)),
            Sample::text("twilio: { }\ntwilio.authToken: '{}'\n", noise(HEX, 32)),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss("TWILIO_AUTH_TOKEN=your_auth_token"),
                miss(&format!("TWILIO_ACCOUNT_SID={}", noise(HEX, 32))),
            ],
        );
    }
}
