//! SEC-006 `cosign-private-key`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::mask::Mask;
use crate::pem;
use crate::sight::{Found, Sight, base64_letter};

const PAGE: Page = Page {
    code: "SEC-006",
    name: "cosign-private-key",
    what: "A private key file of cosign (`ENCRYPTED SIGSTORE PRIVATE KEY`), or a secret key of minisign or signify.",
    why: "Signatures are what deployments are decided on. The password is all that is left between whoever pulls the image and a signature of yours.",
    how: take_out!("every policy that names its public half (`[verification] public_keys`)"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &[pem::ANCHOR, MINISIGN, SIGNIFY], confirm);

const MINISIGN: &str = "minisign encrypted secret key";
const SIGNIFY: &str = "signify secret key";

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    if sight.text[sight.anchor.clone()] == *pem::ANCHOR.as_bytes() {
        let found = pem::armoured(sight).filter(|found| found.kind == pem::Kind::Cosign)?;
        return Some(found.found("cosign private key"));
    }
    // A comment line, then the key in one line of base64.
    let line = memchr::memchr(b'\n', sight.rest()).filter(|&at| at < 200)? + sight.anchor.end + 1;
    let length = sight.run(line, base64_letter, 400);
    (length >= 100).then(|| Found::new(line..line + length, Mask::Kind("minisign or signify secret key")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{BASE64, Sample, armour, check, miss, noise, noise_bytes};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::file(
                "root/cosign.key",
                "{}",
                armour(
                    "ENCRYPTED SIGSTORE PRIVATE KEY",
                    &[&b"{\"kdf\":{\"name\":\"scrypt\""[..], &noise_bytes(500)].concat(),
                ),
            ),
            Sample::file(
                "root/.minisign/minisign.key",
                "untrusted comment: minisign encrypted secret key\n{}\n",
                noise(BASE64, 212),
            ),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"),
                miss("untrusted comment: minisign encrypted secret key"),
            ],
        );
    }
}
