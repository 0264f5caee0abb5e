//! SEC-071 `npmrc-credentials`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::keyed::is_real_value;
use crate::mask::Mask;
use crate::placeholder::looks_generated;
use crate::sight::{Found, Sight, url_safe};

const PAGE: Page = Page {
    code: "SEC-071",
    name: "npmrc-credentials",
    what: "A registry credential in the form of `.npmrc` or `.yarnrc.yml`: `_authToken`, `_password`, `_auth`, `npmAuthToken` with a value.",
    why: "The build needed it to install private packages, and it stayed in the image for everybody.",
    how: take_out!("the registry; in a build use a build secret (`RUN --mount=type=secret`)"),
};

pub(super) const RULE: Rule = Rule::anchored(
    &PAGE,
    Proof::Context,
    &[":_authToken=", ":_password=", ":_auth=", "npmAuthToken: ", "npmAuthIdent: ", "\n_auth="],
    confirm,
);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let mut at = sight.anchor.end;
    at += sight.run(at, |b| matches!(b, b'"' | b'\'' | b' '), 2);
    // Yarn's may be `user:password`.
    let is_yarn = sight.text[sight.anchor.start] == b'n';
    let alphabet: fn(u8) -> bool = match is_yarn {
        true => |b| url_safe(b) || matches!(b, b'.' | b'+' | b'/' | b'=' | b':'),
        false => |b| url_safe(b) || matches!(b, b'.' | b'+' | b'/' | b'='),
    };
    let length = sight.run(at, alphabet, 1024);
    let value = &sight.text[at..at + length];
    (looks_generated(value) && is_real_value(value)).then(|| Found::new(at..at + length, Mask::Edges))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::file("root/.npmrc", "//npm.acme.io/:_authToken={}\n", noise(ALNUM, 36)),
            Sample::file("app/.yarnrc.yml", "npmAuthToken: \"{}\"\n", noise(ALNUM, 36)),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                Sample::file("root/.npmrc", "//npm.acme.io/:_authToken=${NPM_TOKEN}\n", ""),
                miss("//registry/:_authToken=$NPM_TOKEN"),
                miss("//registry/:_authToken=\""),
            ],
        );
    }
}
