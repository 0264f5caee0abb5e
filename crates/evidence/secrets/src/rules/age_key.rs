//! SEC-004 `age-secret-key`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight};

const PAGE: Page = Page {
    code: "SEC-004",
    name: "age-secret-key",
    what: "A secret key of age: `AGE-SECRET-KEY-1` and 58 characters of Bech32, or the post-quantum form.",
    why: "It decrypts every file that was encrypted to it, sops files among them.",
    how: take_out!("whoever encrypts to it"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["AGE-SECRET-KEY-"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    sight.edges(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-', 59..=80)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::file(
            "root/.config/sops/age/keys.txt",
            "# created: 2026-01-01\n{}\n",
            format!("AGE-SECRET{}{}", "-KEY-1", noise("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58)),
        )]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[miss("AGE-SECRET-KEY-1..."), miss(&format!("AGE-SECRET-KEY-1{}", "Q".repeat(58)))],
        );
    }
}
