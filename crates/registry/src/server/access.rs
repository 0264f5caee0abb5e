//! Who may, and the log of who did.

use std::time::Instant;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, USER_AGENT, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response};

use super::answer::Failure;
use super::serve::Peer;
use super::{Credentials, Options};
use crate::error::Code;

/// Checks what holds for every request: credentials and read-only mode.
pub(super) fn check(options: &Options, method: &Method, headers: &HeaderMap) -> Result<(), Failure> {
    if let Some(credentials) = &options.credentials
        && !authenticated(credentials, headers)
    {
        return Err(Failure::new(Code::Unauthorized).header(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"plimsoll\", charset=\"UTF-8\""),
        ));
    }
    if options.read_only && !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Failure::new(Code::Unsupported).say("this registry is read-only"));
    }
    Ok(())
}

/// RFC 7617. The comparison takes the same time wherever the texts differ;
/// hashing first makes that so for their lengths too.
fn authenticated(credentials: &Credentials, headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) else { return false };
    let Some((scheme, token)) = value.split_once(' ') else { return false };
    if !scheme.eq_ignore_ascii_case("basic") {
        return false;
    }
    let Ok(given) = STANDARD.decode(token.trim()) else { return false };
    let expected = format!("{}:{}", credentials.username, credentials.password.reveal());
    let (given, expected) = (digest(&SHA256, &given), digest(&SHA256, expected.as_bytes()));
    verify_slices_are_equal(given.as_ref(), expected.as_ref()).is_ok()
}

/// What the access log keeps of a request. Neither query nor headers but the
/// client's own name: nothing in it is secret.
pub(super) struct Entry {
    method: Method,
    path: String,
    agent: String,
    peer: Option<Peer>,
    started: Instant,
}

impl Entry {
    /// Before the work.
    pub(super) fn begin(parts: &Parts) -> Self {
        let agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self {
            method: parts.method.clone(),
            path: parts.uri.path().chars().take(512).collect(),
            agent: agent.chars().take(128).collect(),
            peer: parts.extensions.get::<Peer>().copied(),
            started: Instant::now(),
        }
    }

    /// When the answer's head is known; a body may still be streaming.
    pub(super) fn end(self, response: &Response<Body>) {
        let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        tracing::info!(
            target: "plimsoll_registry::access",
            method = %self.method,
            path = self.path,
            status = response.status().as_u16(),
            length,
            elapsed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            peer = self.peer.map(|peer| tracing::field::display(peer.0)),
            agent = self.agent,
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_model::Secret;

    use super::*;

    #[test]
    fn only_the_right_pair_passes() {
        let options = Options {
            credentials: Some(Credentials { username: "ci".into(), password: Secret::new("pa:ss") }),
            ..Options::default()
        };
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for (header, passes) in [
            (Some(basic("ci:pa:ss")), true),
            (Some(basic("ci:pa:ss").replace("Basic", "basic")), true),
            (Some(basic("ci:pa")), false),
            (Some(basic("ci:pa:ss ")), false),
            (Some(basic("")), false),
            (Some("Basic !!!".into()), false),
            (Some("Bearer abc".into()), false),
            (Some("Basic".into()), false),
            (None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(header) = &header {
                headers.insert(AUTHORIZATION, header.parse().unwrap());
            }
            assert_eq!(check(&options, &Method::GET, &headers).is_ok(), passes, "{header:?}");
        }
    }

    #[test]
    fn read_only_reads() {
        let options = Options { read_only: true, ..Options::default() };
        for (method, passes) in [
            (Method::GET, true),
            (Method::HEAD, true),
            (Method::PUT, false),
            (Method::POST, false),
            (Method::PATCH, false),
            (Method::DELETE, false),
        ] {
            assert_eq!(check(&options, &method, &HeaderMap::new()).is_ok(), passes, "{method}");
        }
    }
}
