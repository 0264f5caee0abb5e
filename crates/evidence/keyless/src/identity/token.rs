//! An identity token: a signed statement about who runs this job (OpenID
//! Connect Core 1.0, section 2; RFC 7519).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use plimsoll_model::Secret;
use serde::Deserialize;

use crate::endpoint::excerpt;
use crate::error::{Cause, Error};

/// The longest token that is read, in bytes. Real ones have one to three thousand.
pub(crate) const LONGEST: usize = 64 << 10;

/// A token that has the form of one, is for the right audience, and was good
/// when it was read. It never shows itself.
#[derive(Clone)]
pub struct IdentityToken {
    secret: Secret,
    origin: String,
    claims: Claims,
}

/// What a token says. Nobody has checked its signature here: for messages,
/// never for decisions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Claims {
    /// Who vouches: the issuer's URL.
    #[serde(rename = "iss")]
    pub issuer: String,
    /// Whom it is about, in the issuer's terms.
    #[serde(rename = "sub")]
    pub subject: String,
    /// Whom it is for.
    #[serde(rename = "aud", deserialize_with = "one_or_many")]
    pub audiences: Vec<String>,
    /// Until when it is good, in seconds since 1970.
    #[serde(rename = "exp", deserialize_with = "numeric_date")]
    pub expires: i64,
    /// An e-mail address, where the subject is a person.
    #[serde(default)]
    pub email: Option<String>,
}

impl IdentityToken {
    /// Reads a token. `origin` says in messages where it came from, e.g.
    /// `env:SIGSTORE_ID_TOKEN`.
    ///
    /// # Errors
    /// It is no token, is for another audience than `audience`, or has
    /// expired at `now`.
    pub fn read(secret: Secret, origin: &str, audience: &str, now: Timestamp) -> Result<Self, Error> {
        let origin = origin.to_owned();
        // Files and commands end their output with a line end.
        let text = secret.reveal().trim();
        let claims = match parse(text) {
            Ok(claims) => claims,
            Err(reason) => return Err(Cause::TokenUnusable { origin, reason }.into()),
        };
        if !claims.audiences.iter().any(|one| one == audience) {
            let found = excerpt(&format!("`{}`", claims.audiences.join("`, `")));
            return Err(Cause::TokenAudience { origin, expected: audience.into(), found }.into());
        }
        if claims.expires <= now.as_second() {
            let expired = match Timestamp::from_second(claims.expires) {
                Ok(time) => time.to_string(),
                Err(_) => format!("{} seconds after 1970", claims.expires),
            };
            return Err(Cause::TokenExpired { origin, expired, now: whole_seconds(now) }.into());
        }
        Ok(Self { secret: Secret::new(text), origin, claims })
    }

    /// What it says; not checked.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Where it came from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The token itself, for Fulcio.
    pub(crate) fn secret(&self) -> Secret {
        self.secret.clone()
    }
}

impl fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityToken")
            .field("secret", &self.secret)
            .field("origin", &self.origin)
            .field("claims", &self.claims)
            .finish()
    }
}

pub(crate) fn whole_seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// The claims in a token's compact form (RFC 7515, 3.1). Reasons never show
/// the token.
fn parse(text: &str) -> Result<Claims, String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let parts: Vec<&str> = text.split('.').collect();
    let [_, payload, signature] = parts[..] else {
        return Err(format!("it has {} parts instead of 3", parts.len()));
    };
    if signature.is_empty() {
        return Err("it is not signed".into());
    }
    let payload = URL_SAFE_NO_PAD
        .decode(payload.trim_end_matches('='))
        .map_err(|_| "its second part is not base64url".to_owned())?;
    // serde's own words could repeat a value.
    serde_json::from_slice(&payload).map_err(|e| match e.classify() {
        serde_json::error::Category::Data => {
            "its claims lack `iss`, `sub`, `aud` or `exp`, or one is of another type".into()
        }
        _ => "its second part is not JSON".into(),
    })
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Audience::deserialize(from)? {
        Audience::One(one) => vec![one],
        Audience::Many(many) => many,
    })
}

/// `NumericDate` (RFC 7519, 2) may have a fraction.
fn numeric_date<'de, D: serde::Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Date {
        Whole(i64),
        Fraction(f64),
    }
    Ok(match Date::deserialize(from)? {
        Date::Whole(seconds) => seconds,
        // Saturates; what is beyond is no time that a token ends at.
        #[allow(clippy::cast_possible_truncation)]
        Date::Fraction(seconds) => seconds as i64,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use plimsoll_model::Diagnose as _;
    use serde_json::{Value, json};

    const NOW: i64 = 1_795_348_800;

    fn read(token: &str) -> Result<IdentityToken, Error> {
        let now = Timestamp::from_second(NOW).unwrap();
        IdentityToken::read(Secret::new(token), "env:TOKEN", "sigstore", now)
    }

    fn token(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn claims_are_read_and_the_token_hides() {
        let claims =
            json!({"iss": "https://a.example", "sub": "repo:x", "aud": ["b", "sigstore"], "exp": NOW + 1});
        let text = token(&claims);
        let read = read(&format!(" {text}\n")).unwrap();
        assert_eq!(read.claims().subject, "repo:x");
        assert_eq!(read.claims().issuer, "https://a.example");
        assert_eq!(read.secret().reveal(), text);
        assert!(!format!("{read:?}").contains("c2ln"), "{read:?}");
        let fraction = json!({"iss": "a", "sub": "b", "aud": "sigstore", "exp": 1_795_348_801.5});
        assert!(super::parse(&token(&fraction)).is_ok());
    }

    #[test]
    fn what_fulcio_would_refuse_is_told_early() {
        let good = json!({"iss": "https://a.example", "sub": "repo:x", "aud": "sigstore", "exp": NOW + 1});
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            token(&claims)
        };
        let cases = [
            (with("exp", json!(NOW)), "KLS-003"),
            (with("exp", json!(i64::MIN)), "KLS-003"),
            (with("aud", json!("https://github.com/acme")), "KLS-004"),
            (with("aud", json!([])), "KLS-004"),
            (with("aud", Value::Null), "KLS-002"),
            (with("exp", json!("soon")), "KLS-002"),
            (with("sub", Value::Null), "KLS-002"),
            (String::new(), "KLS-002"),
            ("a.b".into(), "KLS-002"),
            ("a.b.c.d".into(), "KLS-002"),
            ("e30.e30.".into(), "KLS-002"),
            ("e30.!!.c".into(), "KLS-002"),
            ("e30.bm8.c".into(), "KLS-002"),
            ("x".repeat(LONGEST + 1), "KLS-002"),
        ];
        for (text, code) in cases {
            let error = read(&text).unwrap_err();
            assert_eq!(error.code(), code, "{text:.40}: {error} {:?}", error.found());
            let shown = format!("{error} {error:?} {:?} {:?}", error.found(), error.hint());
            assert!(text.len() < 4 || !shown.contains(&text), "{shown}");
        }
    }
}
