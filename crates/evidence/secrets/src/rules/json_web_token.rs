//! SEC-050 `long-lived-jwt`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::mask::Mask;
use crate::sight::{BEFORE, Found, Sight, url_safe};

const PAGE: Page = Page {
    code: "SEC-050",
    name: "long-lived-jwt",
    what: "A signed JSON Web Token that lives for more than 90 days, or that never expires and belongs to a service (a Kubernetes service account, a Supabase service role). Others that never expire are notes.",
    why: "A token is as good as a password until it expires, and whoever can pull the image has it.",
    how: "Take it out of the image; ask for short-lived tokens at run time. In Kubernetes these are projected into the pod. Revoke it where it was issued.",
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &[".eyJ"], confirm);

/// The longest life, in seconds, of a token that is nobody's password.
const LONG: u64 = 90 * 24 * 3600;

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let dot = sight.anchor.start;
    let before = &sight.text[dot.saturating_sub(BEFORE)..dot];
    let start = dot - before.iter().rev().take_while(|&&b| url_safe(b)).count();
    if !sight.text[start..dot].starts_with(b"eyJ") {
        return None;
    }
    let payload = sight.run(dot + 1, url_safe, 8 << 10);
    let end = dot + 1 + payload;
    let signature = sight.run(end + 1, url_safe, 1024);
    if sight.text.get(end) != Some(&b'.') || signature < 20 {
        return None;
    }
    let decoded = |range: std::ops::Range<usize>| {
        let bytes = URL_SAFE_NO_PAD.decode(&sight.text[range]).ok()?;
        serde_json::from_slice::<Value>(&bytes).ok()
    };
    let header = decoded(start..dot)?;
    let claims = decoded(dot + 1..end)?;
    if header["alg"].as_str().is_none_or(|alg| alg == "none") || !claims.is_object() {
        return None;
    }
    let found = Found::new(start..end + 1 + signature, Mask::Edges);
    let seconds = |claim: &str| claims[claim].as_f64().map(|seconds| seconds as u64);
    let is_service = claims["role"] == "service_role"
        || claims["iss"].as_str().is_some_and(|iss| iss.starts_with("kubernetes/"));
    match (seconds("exp"), seconds("iat").or(seconds("nbf"))) {
        // Published by design, whatever its life.
        _ if claims["role"] == "anon" => None,
        (Some(until), Some(from)) => (until.saturating_sub(from) > LONG).then_some(found),
        (Some(_), None) => None,
        (None, _) if is_service => Some(found),
        (None, _) => Some(found.note()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::text("{}\n", token(r#"{"iat":1700000000,"exp":1900000000}"#)),
            Sample::text("{}\n", token(r#"{"iss":"kubernetes/serviceaccount","sub":"system:x"}"#)),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss(&token(r#"{"iat":1700000000,"exp":1700003600}"#)),
                miss(&token(r#"{"role":"anon","iat":1600000000,"exp":1900000000}"#)),
                miss("eyJhbGciOi.eyJzdWIiOi.x"),
            ],
        );
    }

    fn token(claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(claims), noise(ALNUM, 43))
    }
}
