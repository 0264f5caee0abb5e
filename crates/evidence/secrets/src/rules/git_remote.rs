//! SEC-061 `url-credentials`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::mask::Mask;
use crate::placeholder::looks_generated;
use crate::sight::{Found, Sight};
use crate::url;

const PAGE: Page = Page {
    code: "SEC-061",
    name: "url-credentials",
    what: "A web address with user and password or token: a git remote (`.git/config`), a package index, a proxy, `.git-credentials`.",
    why: "The token was needed by the build, and stayed in the image for everybody.",
    how: "Give tokens to the build as build secrets, and take the address with the token out of the file (`git remote set-url`). Revoke the token: it was in a layer.",
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Context, &["://"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let address = url::parse(sight)?;
    let scheme = address.scheme.rsplit(|&b| b == b'+').next().unwrap_or_default();
    if !matches!(scheme, b"https" | b"http" | b"ssh" | b"git") {
        return None;
    }
    let password = &sight.text[address.password.clone()];
    // In a file that is made for it any password is one; elsewhere it looks
    // like one.
    let is_made_for_it = sight.name.ends_with(".git/config")
        || sight.name.base == b".git-credentials"
        || sight.name.base == b"pip.conf";
    let is_generated = password.len() >= 10
        && password.iter().any(u8::is_ascii_digit)
        && password.iter().any(u8::is_ascii_alphabetic)
        && looks_generated(password);
    (is_made_for_it || is_generated).then(|| Found::new(address.password, Mask::Hidden))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Sample, check, miss};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::file(
                "app/.git/config",
                "[remote \"origin\"]\n\turl = https://ci:{}@git.acme.io/payouts.git\n",
                "vK3pQzLm",
            ),
            Sample::file("root/.git-credentials", "https://ci:{}@git.acme.io\n", "vK3pQzLm"),
            Sample::text("--index-url https://ci:{}@pypi.acme.io/simple\n", "w8Xk2hhQzL0p"),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss("https://user:pass@example.com/"),
                miss("http://foo:bar1@acme.io/"),
                miss("https://acme.io/a:b@c"),
                Sample::file("app/.git/config", "url = https://git.acme.io/x.git\n", ""),
            ],
        );
    }
}
