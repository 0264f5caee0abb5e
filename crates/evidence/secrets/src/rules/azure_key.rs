//! SEC-015 `azure-connection-string`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::mask::Mask;
use crate::placeholder::looks_generated;
use crate::sight::{Found, Sight, base64_letter};

const PAGE: Page = Page {
    code: "SEC-015",
    name: "azure-connection-string",
    what: "A connection string of Azure with its key: `AccountKey=` (storage, Cosmos DB) or `SharedAccessKey=` (Service Bus, Event Hubs, IoT). The published key of the storage emulator is no finding.",
    why: "It reads and writes everything in the account, from anywhere, until it is rotated.",
    how: take_out!("Azure (`az storage account keys renew`); use a managed identity instead of keys"),
};

pub(super) const RULE: Rule =
    Rule::anchored(&PAGE, Proof::Form, &["AccountKey=", "SharedAccessKey=", "AccountKey = "], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let at = sight.anchor.end;
    let length = sight.run(at, base64_letter, 90);
    let padding = sight.run(at + length, |b| b == b'=', 2);
    let body = &sight.text[at..at + length];
    // 64 bytes, or 32; with padding.
    let is_key = matches!((length, padding), (86, 2) | (43, 1))
        && looks_generated(body)
        && !body.starts_with(EMULATOR);
    is_key.then(|| Found::new(at..at + length + padding, Mask::Edges))
}

/// The account key that every Azure storage emulator has.
const EMULATOR: &[u8] = b"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6";

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{BASE64, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::text(
                "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={};EndpointSuffix=core.windows.net\n",
                format!("{}==", noise(BASE64, 86)),
            ),
            Sample::text("Endpoint=sb://acme/;SharedAccessKey={}\n", format!("{}=", noise(BASE64, 43))),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[miss("AccountName=acme;AccountKey=<key>;"), miss(&format!("AccountKey={}", noise(BASE64, 30)))],
        );
    }
}
