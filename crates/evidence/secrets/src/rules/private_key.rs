//! SEC-001 `private-key`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::pem;
use crate::sight::{Found, Sight};

const PAGE: Page = Page {
    code: "SEC-001",
    name: "private-key",
    what: "A private key in PEM or OpenSSH form, encrypted or not: PKCS #1, PKCS #8, SEC 1, DSA, OpenSSH. What follows the header is decoded and must be a key; certificates, public keys and headers alone are no finding.",
    why: "Whoever can pull the image can read every layer of it, and so can be the server, sign the tokens or log in. A key in an image cannot be changed without a build.",
    how: take_out!("whoever trusts it"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &[pem::ANCHOR], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let found = pem::armoured(sight)?;
    matches!(found.kind, pem::Kind::Der | pem::Kind::OpenSsh).then(|| found.found("private key"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Sample, armour, check, miss, noise_bytes, private_key};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::file("app/config/server.pem", "{}", private_key("PRIVATE KEY")),
            Sample::file("app/key.go", "var key = `{}`\n", private_key("EC PRIVATE KEY")),
            Sample::file(
                "home/app/.ssh/id_ed25519",
                "{}",
                armour("OPENSSH PRIVATE KEY", &[&b"openssh-key-v1\0"[..], &noise_bytes(300)].concat()),
            ),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                Sample::file("etc/ssl/cert.pem", "{}", private_key("CERTIFICATE")),
                miss("-----BEGIN PRIVATE KEY-----\nMIIE...\n-----END PRIVATE KEY-----"),
            ],
        );
    }
}
