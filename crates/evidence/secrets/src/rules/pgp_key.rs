//! SEC-005 `pgp-private-key`.

use plimsoll_model::Page;

use super::{Named, Proof, Rule};
use crate::mask::Mask;
use crate::pem;
use crate::sight::{Found, Name, Sight};

const PAGE: Page = Page {
    code: "SEC-005",
    name: "pgp-private-key",
    what: "An OpenPGP secret key: armoured, or a file of a GnuPG home (`private-keys-v1.d`, `secring.gpg`).",
    why: "It signs commits, packages and releases in your name, and decrypts what was sent to you.",
    how: take_out!("the key servers that list it"),
};

pub(super) const RULE: Rule =
    Rule::anchored(&PAGE, Proof::Form, &[pem::ANCHOR], confirm).and_named(Named { is, read });

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let found = pem::armoured(sight).filter(|found| found.kind == pem::Kind::Pgp)?;
    Some(found.found("OpenPGP secret key"))
}

fn is(name: &Name<'_>) -> bool {
    name.base == b"secring.gpg"
        || name.has_suffix(".key") && memchr::memmem::find(name.path, b"private-keys-v1.d/").is_some()
}

fn read(file: &[u8], _: &Name<'_>, found: &mut dyn FnMut(Found)) {
    // S-expressions, or packets with tag 5.
    let is_key = file.starts_with(b"(")
        || file.starts_with(b"Key: ")
        || file.starts_with(b"Created: ")
        || matches!(file.first(), Some(0x94..=0x97 | 0xc5));
    if is_key && file.len() > 32 {
        found(Found::new(0..file.len(), Mask::Kind("OpenPGP secret key")));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, armour, check, noise, noise_bytes};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::file(
                "root/signing.asc",
                "{}",
                armour("PGP PRIVATE KEY BLOCK", &[&[0x95][..], &noise_bytes(400)].concat()).replacen(
                    '\n',
                    "\nComment: build\n\n",
                    1,
                ),
            ),
            Sample::file(
                "root/.gnupg/private-keys-v1.d/AB12.key",
                "(21:protected-private-key{}",
                noise(ALNUM, 200),
            ),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                Sample::file("root/key.asc", "{}", armour("PGP PUBLIC KEY BLOCK", &noise_bytes(400))),
                Sample::file("root/.gnupg/secring.gpg", "{}", ""),
            ],
        );
    }
}
