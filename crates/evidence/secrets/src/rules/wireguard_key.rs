//! SEC-008 `wireguard-private-key`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::mask::Mask;
use crate::placeholder::looks_generated;
use crate::sight::{BEFORE, Found, Sight, base64_letter};

const PAGE: Page = Page {
    code: "SEC-008",
    name: "wireguard-private-key",
    what: "A WireGuard private key: `PrivateKey = ` and 32 bytes in base64, in a file with `[Interface]`.",
    why: "It joins the private network as this machine.",
    how: take_out!("every peer that knows its public half"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["PrivateKey = ", "PrivateKey="], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let at = sight.anchor.end;
    let length = sight.run(at, base64_letter, 43);
    let before = &sight.text[sight.anchor.start.saturating_sub(BEFORE)..sight.anchor.start];
    let is_key = length == 43
        && sight.text.get(at + 43) == Some(&b'=')
        && memchr::memmem::find(before, b"[Interface]").is_some()
        && looks_generated(&sight.text[at..at + 43]);
    is_key.then(|| Found::new(at..at + 44, Mask::Edges))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{BASE64, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::file(
            "etc/wireguard/wg0.conf",
            "[Interface]\nAddress = 10.0.0.1/24\nPrivateKey = {}\n",
            format!("{}=", noise(BASE64, 43)),
        )]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss("[Interface]\nPrivateKey = <server private key>\n"),
                miss(&format!("[Peer]\nPublicKey = {}=\n", noise(BASE64, 43))),
            ],
        );
    }
}
