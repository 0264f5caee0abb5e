//! SEC-025 `crates-io-token`.

use plimsoll_model::Page;

use super::{Named, Proof, Rule};
use crate::keyed::{is_real_value, pairs};
use crate::mask::Mask;
use crate::sight::{Found, Name, Sight, alphanumeric};

const PAGE: Page = Page {
    code: "SEC-025",
    name: "crates-io-token",
    what: "A crates.io token: `cio` and 32 letters and digits; or any token in `.cargo/credentials.toml`.",
    why: "It publishes crates: whoever has it puts code into every service that uses them.",
    how: take_out!("crates.io; publish with trusted publishing instead"),
};

pub(super) const RULE: Rule =
    Rule::anchored(&PAGE, Proof::Form, &["cio"], confirm).and_named(Named { is, read });

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let found = sight.edges(alphanumeric, 32..=32)?;
    let body = &sight.text[sight.anchor.end..found.value.end];
    // The prefix is short: ask for a mixture, and for no base64 around it.
    let edge = |b: Option<&u8>| !matches!(b, Some(b'/' | b'+' | b'-' | b'_' | b'='));
    let is_mixed = [u8::is_ascii_digit, u8::is_ascii_lowercase, u8::is_ascii_uppercase]
        .iter()
        .all(|class| body.iter().any(class));
    let before = found.value.start.checked_sub(1).and_then(|at| sight.text.get(at));
    let is_whole = edge(sight.text.get(found.value.end)) && (before == Some(&b'=') || edge(before));
    (is_mixed && is_whole).then_some(found)
}

fn is(name: &Name<'_>) -> bool {
    name.ends_with(".cargo/credentials.toml") || name.ends_with(".cargo/credentials")
}

fn read(file: &[u8], _: &Name<'_>, found: &mut dyn FnMut(Found)) {
    pairs(file, b"=")
        .filter(|pair| matches!(pair.name, b"token" | b"secret-key") && is_real_value(pair.value))
        .for_each(|pair| found(Found::new(pair.range, Mask::Edges)));
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::text("CARGO={}\n", format!("cio{}", noise(ALNUM, 32))),
            Sample::file(
                "root/.cargo/credentials.toml",
                "[registries.acme]\ntoken = \"{}\"\n",
                noise(ALNUM, 44),
            ),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss(&format!("precio{}", noise(ALNUM, 32))),
                miss(&format!("/cio{}/", noise(ALNUM, 32))),
                Sample::file("root/.cargo/credentials.toml", "token = \"\"\n", ""),
            ],
        );
    }
}
