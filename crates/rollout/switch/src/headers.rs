//! Which header fields go on, which end here (RFC 9110 section 7.6), and what
//! the switch adds.

use http::header::{CONNECTION, HOST, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Names that `Connection` lists beyond this many are refused with the request.
const MAX_NAMED: usize = 32;

/// The protocol that an upgrade request or answer names, when it is one that
/// is tunnelled. `h2c` is not: it would carry requests past the switch.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let protocol = headers.get(UPGRADE)?;
    let asked = tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    let h2c = protocol.as_bytes().to_ascii_lowercase().windows(3).any(|w| w == b"h2c");
    (asked && !h2c).then(|| protocol.clone())
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

/// Removes what concerns only one hop: the fields that `Connection` names and
/// those that always do.
///
/// # Errors
/// When `Connection` names absurdly many fields.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) -> Result<(), StatusCode> {
    if headers.contains_key(CONNECTION) {
        let mut named: Vec<HeaderName> = Vec::new();
        for token in tokens(headers, &CONNECTION) {
            if token.eq_ignore_ascii_case("close") || token.eq_ignore_ascii_case("keep-alive") {
                continue;
            }
            if named.len() == MAX_NAMED {
                return Err(StatusCode::BAD_REQUEST);
            }
            // Framing and routing are not for a client to take away.
            if let Ok(name) = HeaderName::from_bytes(token.as_bytes())
                && name != HOST
                && name != http::header::CONTENT_LENGTH
            {
                named.push(name);
            }
        }
        for name in named {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    // Looking up what is rarely there costs more than asking for the count.
    for name in [&KEEP_ALIVE, &PROXY_CONNECTION, &TRANSFER_ENCODING, &UPGRADE, &HTTP2_SETTINGS] {
        if headers.contains_key(name) {
            headers.remove(name);
        }
    }
    Ok(())
}

/// Makes a user's request one for an instance.
///
/// # Errors
/// The status to answer with when the request cannot be passed on.
pub(crate) fn prepare<B>(request: &mut Request<B>, peer: &HeaderValue) -> Result<(), StatusCode> {
    if request.method() == Method::CONNECT {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    // RFC 9112 section 3.2: exactly one Host in HTTP/1.1.
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() || (host.is_none() && request.version() == Version::HTTP_11) {
        return Err(StatusCode::BAD_REQUEST);
    }
    let mut host = host.cloned();
    // Absolute form names the host itself (RFC 9112 section 3.2.2).
    if let Some(authority) = request.uri().authority() {
        let named = authority.as_str().rsplit('@').next().unwrap_or_default();
        let value = HeaderValue::from_str(named).map_err(|_| StatusCode::BAD_REQUEST)?;
        request.headers_mut().insert(HOST, value.clone());
        host = Some(value);
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    }
    *request.version_mut() = Version::HTTP_11;

    let headers = request.headers_mut();
    let trailers =
        headers.contains_key(TE) && tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    strip_hop_by_hop(headers)?;
    if headers.contains_key(TE) {
        headers.remove(TE);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }

    let chain = match headers.get(&FORWARDED_FOR) {
        None => peer.clone(),
        Some(_) => {
            let mut chain = Vec::new();
            for earlier in headers.get_all(&FORWARDED_FOR) {
                chain.extend_from_slice(earlier.as_bytes());
                chain.extend_from_slice(b", ");
            }
            chain.extend_from_slice(peer.as_bytes());
            HeaderValue::from_bytes(&chain).map_err(|_| StatusCode::BAD_REQUEST)?
        }
    };
    headers.insert(FORWARDED_FOR, chain);
    // A proxy in front that ends TLS knows better than this one.
    if !headers.contains_key(&FORWARDED_PROTO) {
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if let Some(host) = host
        && !headers.contains_key(&FORWARDED_HOST)
    {
        headers.insert(FORWARDED_HOST, host);
    }
    Ok(())
}

/// Makes an instance's answer one for the user.
///
/// # Errors
/// When the answer is not fit to be passed on.
pub(crate) fn prepare_answer(headers: &mut HeaderMap) -> Result<(), StatusCode> {
    let trailer = headers.get(TRAILER).cloned();
    strip_hop_by_hop(headers).map_err(|_| StatusCode::BAD_GATEWAY)?;
    if let Some(trailer) = trailer {
        headers.insert(TRAILER, trailer);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn request(uri: &str, fields: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::builder().uri(uri);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    fn peer() -> HeaderValue {
        HeaderValue::from_static("192.0.2.7")
    }

    #[test]
    fn fields_of_one_hop_end_here_and_others_go_on() {
        let mut request = request(
            "/a?b",
            &[
                ("host", "h"),
                ("connection", "close, X-Secret, host, content-length"),
                ("x-secret", "1"),
                ("keep-alive", "timeout=5"),
                ("te", "gzip, trailers"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "websocket"),
                ("accept", "*/*"),
                ("content-length", "3"),
            ],
        );
        prepare(&mut request, &peer()).unwrap();
        let headers = request.headers();
        for gone in ["x-secret", "keep-alive", "transfer-encoding", "upgrade"] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert_eq!(headers["te"], "trailers");
        assert_eq!(headers["connection"], "te");
        assert_eq!(
            (&headers["host"], &headers["content-length"], &headers["accept"]),
            (
                &HeaderValue::from_static("h"),
                &HeaderValue::from_static("3"),
                &HeaderValue::from_static("*/*")
            )
        );
    }

    #[test]
    fn forwarding_fields_are_appended_or_kept() {
        let mut first = request("/", &[("host", "h")]);
        prepare(&mut first, &peer()).unwrap();
        assert_eq!(first.headers()["x-forwarded-for"], "192.0.2.7");
        assert_eq!(first.headers()["x-forwarded-proto"], "http");
        assert_eq!(first.headers()["x-forwarded-host"], "h");
        let mut second = request(
            "/",
            &[
                ("host", "h"),
                ("x-forwarded-for", "198.51.100.1"),
                ("x-forwarded-for", "198.51.100.2"),
                ("x-forwarded-proto", "https"),
            ],
        );
        prepare(&mut second, &peer()).unwrap();
        assert_eq!(second.headers()["x-forwarded-for"], "198.51.100.1, 198.51.100.2, 192.0.2.7");
        assert_eq!(second.headers()["x-forwarded-proto"], "https");
    }

    #[test]
    fn requests_with_no_or_two_hosts_are_refused() {
        for fields in [&[][..], &[("host", "a"), ("host", "b")][..]] {
            assert_eq!(prepare(&mut request("/", fields), &peer()), Err(StatusCode::BAD_REQUEST));
        }
        let mut old = request("/", &[]);
        *old.version_mut() = Version::HTTP_10;
        assert!(prepare(&mut old, &peer()).is_ok());
    }

    #[test]
    fn absolute_form_becomes_origin_form_and_names_the_host() {
        let mut absolute = request("http://user@real.example:8080/p?q", &[("host", "other")]);
        prepare(&mut absolute, &peer()).unwrap();
        assert_eq!(absolute.uri(), "/p?q");
        assert_eq!(absolute.headers()["host"], "real.example:8080");
    }

    #[test]
    fn only_upgrades_that_can_be_tunnelled_are() {
        let asks = |fields: &[(&str, &str)]| upgrade(request("/", fields).headers()).is_some();
        assert!(asks(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]));
        assert!(!asks(&[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")]));
        assert!(!asks(&[("upgrade", "websocket")]));
        assert!(!asks(&[("connection", "upgrade")]));
    }
}
