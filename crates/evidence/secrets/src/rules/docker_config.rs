//! SEC-075 `docker-credentials`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::keyed::is_real_value;
use crate::mask::Mask;
use crate::placeholder::looks_generated;
use crate::sight::{Found, Sight, base64_letter};

const PAGE: Page = Page {
    code: "SEC-075",
    name: "docker-credentials",
    what: "Registry credentials of Docker or Podman: JSON with `auths` and an `auth` that decodes to user and password, or an `identitytoken`.",
    why: "They pull private images and may push: whoever has them ships software in your name.",
    how: take_out!("the registry; log in with a credential helper"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["\"auth\"", "\"identitytoken\""], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let at = sight.value_after(sight.anchor.end)?;
    let length = sight.run(at, |b| base64_letter(b) || matches!(b, b'=' | b'-' | b'_' | b'.'), 8192);
    let value = &sight.text[at..at + length];
    if sight.text[sight.anchor.clone()] == *b"\"identitytoken\"" {
        return (length >= 32 && looks_generated(value)).then(|| Found::new(at..at + length, Mask::Edges));
    }
    let decoded = STANDARD.decode(value).ok()?;
    let colon = memchr::memchr(b':', &decoded)?;
    let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
    let is_text = decoded.iter().all(|b| b.is_ascii_graphic());
    (is_text && !user.is_empty() && is_real_value(password))
        .then(|| Found::new(at..at + length, Mask::Hidden))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Sample, check, miss};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::file(
            "root/.docker/config.json",
            "{\"auths\":{\"registry.acme.io\":{\"auth\":\"{}\"}}}\n",
            STANDARD.encode("ci:vK3pQz81Lm"),
        )]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss(&format!(
                    "{{\"auths\":{{\"r\":{{\"auth\":\"{}\"}}}}}}",
                    STANDARD.encode("user:password")
                )),
                miss("{\"auths\":{\"registry.acme.io\":{}},\"credsStore\":\"pass\"}"),
                miss("{\"auth\": \"required\"}"),
            ],
        );
    }
}
