//! The `WWW-Authenticate` header (RFC 9110, 11.6.1; distribution's token
//! specification): what a registry wants to be shown.

use http::{HeaderMap, header};

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token, fetched from a realm.
    Bearer {
        /// Address of the token service.
        realm: String,
        /// The name of the registry at the token service.
        service: Option<String>,
        /// What the registry says the refused request needs.
        scope: Option<String>,
    },
}

/// More than this is not a header worth reading, in bytes.
const LONGEST: usize = 8 << 10;

/// The strongest challenge among the headers that we can answer: Bearer before
/// Basic. `None` when there is none.
pub(super) fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let all: Vec<Challenge> = headers
        .get_all(header::WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter(|text| text.len() <= LONGEST)
        .flat_map(parse)
        .collect();
    let bearer = all.iter().find(|c| matches!(c, Challenge::Bearer { .. }));
    bearer.or(all.first()).cloned()
}

/// Every challenge in one header value that we can answer.
fn parse(text: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, after) = token(rest);
        if word.is_empty() {
            // A stray separator or a character no token has.
            let mut characters = rest.chars();
            characters.next();
            rest = characters.as_str().trim_start();
            continue;
        }
        let after = after.trim_start();
        match after.strip_prefix('=') {
            Some(value) if !found.is_empty() => {
                let (value, after) = parameter(value.trim_start());
                if let Some((_, parameters)) = found.last_mut() {
                    parameters.push((word.to_ascii_lowercase(), value));
                }
                rest = after.trim_start();
            }
            Some(value) => rest = value,
            None => {
                found.push((word.to_ascii_lowercase(), Vec::new()));
                rest = after;
            }
        }
    }
    found
        .into_iter()
        .filter_map(|(scheme, mut parameters)| {
            let mut take = |name: &str| {
                let at = parameters.iter().position(|(key, _)| key == name)?;
                Some(parameters.swap_remove(at).1).filter(|value| !value.is_empty())
            };
            match scheme.as_str() {
                "basic" => Some(Challenge::Basic),
                "bearer" => Some(Challenge::Bearer {
                    realm: take("realm")?,
                    service: take("service"),
                    scope: take("scope"),
                }),
                _ => None,
            }
        })
        .collect()
}

/// The token at the start of `text` and what follows it.
fn token(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)))
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A quoted or bare value at the start of `text` and what follows it.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].into(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(values: &[&str]) -> Option<Challenge> {
        let headers =
            values.iter().map(|v| (header::WWW_AUTHENTICATE, v.parse().unwrap())).collect::<HeaderMap>();
        challenge(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
            scope: scope.map(Into::into),
        })
    }

    #[test]
    fn realm_service_and_scope_are_read() {
        let text = r#"Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:acme/payouts:pull,push""#;
        assert_eq!(
            of(&[text]),
            bearer(
                "https://auth.example.com/token",
                Some("registry.example.com"),
                Some("repository:acme/payouts:pull,push")
            )
        );
        assert_eq!(of(&["bearer realm=https://a/t"]), bearer("https://a/t", None, None));
        assert_eq!(of(&[r#"Bearer Realm="a\"b" , scope = "x" "#]), bearer("a\"b", None, Some("x")));
    }

    #[test]
    fn bearer_goes_before_basic_in_one_header_or_several() {
        let one = r#"Basic realm="r", Bearer realm="https://a/t",service="s""#;
        assert_eq!(of(&[one]), bearer("https://a/t", Some("s"), None));
        assert_eq!(
            of(&["Basic realm=\"r\"", "Bearer realm=\"https://a/t\""]),
            bearer("https://a/t", None, None)
        );
        assert_eq!(of(&["Basic"]), Some(Challenge::Basic));
    }

    #[test]
    fn nonsense_is_no_challenge() {
        for bad in [
            "",
            ",,,",
            "=",
            "Negotiate abc==",
            "Bearer",
            "Bearer realm",
            "Bearer realm=\"\"",
            "\"\"\"",
            "Digest qop=\"a\\",
        ] {
            assert_eq!(of(&[bad]), None, "{bad}");
        }
        assert_eq!(of(&[&format!("Basic realm=\"{}\"", "x".repeat(9000))]), None);
        assert_eq!(of(&[]), None);
    }
}
