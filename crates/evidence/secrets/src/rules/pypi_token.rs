//! SEC-024 `pypi-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight, url_safe};

const PAGE: Page = Page {
    code: "SEC-024",
    name: "pypi-token",
    what: "A PyPI upload token: `pypi-` and a macaroon of pypi.org or test.pypi.org.",
    why: "It publishes packages: whoever has it puts code into every service that uses them.",
    how: take_out!("PyPI; publish with a trusted publisher instead"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["pypi-AgE"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let found = sight.edges(url_safe, 80..=400)?;
    // `pypi.org`, or `test.pypi.org`, is the macaroon's location.
    let body = &sight.text[sight.anchor.end..];
    [&b"IcHlwaS5vcmc"[..], b"NdGVzdC5weXBpLm9yZw"]
        .iter()
        .any(|location| body.starts_with(location))
        .then_some(found)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text("password = {}\n", format!("pypi-AgE{}{}", "IcHlwaS5vcmc", noise(ALNUM, 150)))]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[miss(&format!("pypi-AgE{}", noise(ALNUM, 150))), miss("pypi-AgEIcHlwaS5vcmc...")],
        );
    }
}
