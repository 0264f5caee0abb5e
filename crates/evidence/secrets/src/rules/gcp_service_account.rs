//! SEC-012 `gcp-service-account`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::pem;
use crate::sight::{BEFORE, Found, Sight};

const PAGE: Page = Page {
    code: "SEC-012",
    name: "gcp-service-account",
    what: "A key file of a Google Cloud service account: JSON with `private_key_id` and a private key.",
    why: "It acts as the service account, from anywhere, and does not expire.",
    how: take_out!(
        "Google Cloud (`gcloud iam service-accounts keys delete`); use workload identity instead of keys"
    ),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["\"private_key_id\""], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    // Whatever the order of the fields: the key is near its id.
    let from = sight.anchor.start.saturating_sub(BEFORE);
    let near = &sight.text[from..sight.text.len().min(sight.anchor.end + 8192)];
    let after = memchr::memmem::find(near, b"\"private_key\"")? + from;
    let anchor =
        memchr::memmem::find(&sight.text[after..sight.text.len().min(after + 128)], pem::ANCHOR.as_bytes())?
            + after;
    let key = Sight { text: sight.text, anchor: anchor..anchor + pem::ANCHOR.len(), name: sight.name };
    let found = pem::armoured(&key)?;
    Some(found.found("service account key"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Sample, check, miss, private_key};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::file(
            "app/gcp.json",
            "{\n  \"type\": \"service_account\",\n  \"private_key_id\": \"0a1b\",\n  \"private_key\": \"{}\"\n}\n",
            private_key("PRIVATE KEY").replace('\n', "\\n"),
        )]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[miss("{\"private_key_id\": \"x\", \"private_key\": \"-----BEGIN PRIVATE KEY-----\\n...\"}")],
        );
    }
}
