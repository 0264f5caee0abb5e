//! SEC-080 `secret-named-variable`.

use std::ops::Range;

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::keyed::{is_real_value, is_secret_name};
use crate::mask::Mask;
use crate::sight::Found;

const PAGE: Page = Page {
    code: "SEC-080",
    name: "secret-named-variable",
    what: "A variable, label or build argument of the image configuration whose name promises a secret (`DB_PASSWORD`, `API_KEY`, `--token=`) and whose value is real.",
    why: "The configuration of an image is the first thing that everybody sees of it (`docker inspect`), and build arguments are in its history for ever. What is baked in is a default only.",
    how: "Leave the variable out of the image, or give it an empty default, and set it at run time. In a build use build secrets, not build arguments. Change the value: it was in the image.",
};

/// Applied to the configuration only: see [`find`].
pub(super) const RULE: Rule =
    Rule { page: &PAGE, proof: Proof::Context, anchors: &[], confirm: None, named: None };

/// Every `NAME=value` of the text whose name promises a secret.
pub(crate) fn find(text: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'=', &text[from..]).map(|at| from + at) {
        let name = &text[name_before(text, at)..at];
        let value = value_from(text, at + 1);
        from = at + 1;
        if is_secret_name(name) && is_real_value(&text[value.clone()]) {
            from = value.end.max(from);
            found.push(Found::new(value, Mask::Hidden));
        }
    }
    found
}

/// Where the name that ends at `end` begins. Names have at most 100 bytes.
fn name_before(text: &[u8], end: usize) -> usize {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    end - text[..end].iter().rev().take(100).take_while(|&&b| is_part(b)).count()
}

/// A quoted value, or up to the next blank.
fn value_from(text: &[u8], from: usize) -> Range<usize> {
    let rest = &text[from..];
    if let Some(&quote @ (b'"' | b'\'')) = rest.first() {
        let length = rest[1..].iter().position(|&b| b == quote).unwrap_or(rest.len() - 1);
        return from + 1..from + 1 + length;
    }
    let length = rest
        .iter()
        .position(|b| b.is_ascii_whitespace() || matches!(b, b';' | b'&' | b'|'))
        .unwrap_or(rest.len());
    from..from + length
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[test]
    fn finds_it_and_nothing_like_it() {
        for (text, value) in [
            ("DB_PASSWORD=vK3pQz81Lm", "vK3pQz81Lm"),
            ("ARG NPM_TOKEN='vK3 pQz81Lm' X=1", "vK3 pQz81Lm"),
            ("|1 API_KEY=vK3pQz81Lm /bin/sh -c make", "vK3pQz81Lm"),
            ("/bin/x --db-password=vK3pQz81Lm", "vK3pQz81Lm"),
        ] {
            let found = find(text.as_bytes());
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(&text[found[0].value.clone()], value);
        }
        for text in [
            "DB_PASSWORD=",
            "DB_PASSWORD=changeme",
            "DB_PASSWORD=$DB_PASSWORD",
            "DB_PASSWORD_FILE=/run/secrets/db",
            "PATH=/usr/bin",
            "GPG_KEY=7169605F62C751356D054A26A821E680E5FA6305",
            "PYTHON_SHA256=0a1b2c3d4e5f",
        ] {
            assert!(find(text.as_bytes()).is_empty(), "{text}");
        }
    }
}
