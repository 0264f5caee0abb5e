//! SEC-007 `key-store`.

use plimsoll_model::Page;

use super::{Named, Proof, Rule};
use crate::mask::Mask;
use crate::sight::{Found, Name};

const PAGE: Page = Page {
    code: "SEC-007",
    name: "key-store",
    what: "A key store: PKCS #12 (`.p12`, `.pfx`) or Java (`.jks`, `.keystore`) with a private key entry. A note: it is encrypted, and one cannot see how well.",
    why: "Its password is often a well-known word, and often in the same image.",
    how: "Mount the store at run time, and give its password by another way than the store.",
};

pub(super) const RULE: Rule = Rule::named(&PAGE, Proof::Form, Named { is, read });

fn is(name: &Name<'_>) -> bool {
    [".p12", ".pfx", ".jks", ".keystore"].iter().any(|ending| name.has_suffix(ending))
}

fn read(file: &[u8], _: &Name<'_>, found: &mut dyn FnMut(Found)) {
    // PFX: SEQUENCE, version 3 (RFC 7292 4). JKS: magic, version, number of
    // entries, and the kind of the first: 1 is a private key.
    let is_pkcs12 = matches!(file, [0x30, 0x82, _, _, 2, 1, 3, ..]);
    let is_jks = file.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) && file.get(12..16) == Some(&[0, 0, 0, 1]);
    if is_pkcs12 || is_jks {
        found(Found::new(0..file.len(), Mask::Kind("key store")).note());
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Sample, check, noise_bytes};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        let pkcs12 = [&[0x30, 0x82, 9, 9, 2, 1, 3][..], &noise_bytes(64)].concat();
        let jks =
            [&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1][..], &noise_bytes(64)].concat();
        vec![Sample::binary("app/store.p12", pkcs12), Sample::binary("app/store.jks", jks)]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(&RULE, &samples(), &[Sample::file("app/trust.jks", "{}", "text")]);
    }
}
