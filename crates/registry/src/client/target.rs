//! Where a registry may send this client: redirects, upload locations, token
//! realms, next pages.

use http::{HeaderMap, header};
use reqwest::Url;

use super::error::excerpt;

/// Whether a URL names this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback()),
        None => false,
    }
}

/// The `Location` of an answer to `from`.
pub(super) fn location(from: &Url, headers: &HeaderMap) -> Result<Url, String> {
    let text = headers
        .get(header::LOCATION)
        .ok_or("no Location header")?
        .to_str()
        .map_err(|_| "a Location header that is not text")?;
    from.join(text).map_err(|e| format!("a Location that is no URL: {e}"))
}

/// `to`, when someone who is at `from` may go there: TLS is never left, plain
/// http stays on this machine, and no credentials ride in the URL.
pub(super) fn safe(from: &Url, to: Url) -> Result<Url, String> {
    let name = || excerpt(&format!("{}://{}", to.scheme(), to.host_str().unwrap_or_default()));
    if !to.username().is_empty() || to.password().is_some() {
        return Err(format!("{}: credentials in a URL", name()));
    }
    match (from.scheme(), to.scheme()) {
        (_, "https") => Ok(to),
        ("http", "http") if is_loopback(&to) => Ok(to),
        ("https", "http") => Err(format!("{}: from https to http", name())),
        (_, "http") => Err(format!("{}: plain http to another machine", name())),
        _ => Err(format!("{}: neither http nor https", name())),
    }
}

/// An upload location. A registry behind a proxy that ends TLS often believes
/// that it is spoken to in plain http and says so in its locations; on the same
/// host, https is what it means.
pub(super) fn upload(from: &Url, headers: &HeaderMap) -> Result<Url, String> {
    let mut to = location(from, headers)?;
    if from.scheme() == "https" && to.scheme() == "http" && to.host() == from.host() && to.port().is_none() {
        to.set_scheme("https").map_err(|()| "a Location that is no URL".to_owned())?;
        to.set_port(from.port()).map_err(|()| "a Location that is no URL".to_owned())?;
    }
    safe(from, to)
}

/// The `next` relation of `Link` headers (RFC 8288), on the same path of the
/// same origin; anything else is no page of this list.
pub(super) fn next_page(from: &Url, headers: &HeaderMap) -> Result<Option<Url>, String> {
    for value in headers.get_all(header::LINK) {
        let text = value.to_str().map_err(|_| "a Link header that is not text")?;
        let Some((target, parameters)) =
            text.trim_start().strip_prefix('<').and_then(|rest| rest.split_once('>'))
        else {
            continue;
        };
        let next = parameters.split(';').any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.split(',').next().unwrap_or_default().trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel") && value.eq_ignore_ascii_case("next")
        });
        if next {
            let mut to = from.join(target).map_err(|e| format!("a next page that is no URL: {e}"))?;
            if to.path() != from.path() {
                return Err(format!("a next page elsewhere: {}", excerpt(to.path())));
            }
            // Scheme, host and port are ours to say (see `upload`).
            let query = to.query().map(str::to_owned);
            to = from.clone();
            to.set_query(query.as_deref());
            return Ok(Some(to));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn allowed(from: &str, to: &str) -> bool {
        safe(&url(from), url(to)).is_ok()
    }

    #[test]
    fn tls_is_not_left_and_plain_http_stays_here() {
        assert!(allowed("https://r.io/v2/", "https://cdn.example.com/x?sig=1"));
        assert!(allowed("http://127.0.0.1:5000/", "http://localhost:6000/x"));
        assert!(allowed("http://[::1]:5000/", "http://[::1]:6000/x"));
        assert!(allowed("http://127.0.0.1:5000/", "https://cdn.example.com/x"));
        for (from, to) in [
            ("https://r.io/", "http://r.io/x"),
            ("https://r.io/", "http://127.0.0.1/x"),
            ("http://127.0.0.1/", "http://169.254.169.254/latest"),
            ("http://127.0.0.1/", "http://127.0.0.1.evil.io/"),
            ("https://r.io/", "file:///etc/passwd"),
            ("https://r.io/", "https://user:pw@r.io/x"),
        ] {
            assert!(!allowed(from, to), "{from} -> {to}");
        }
    }

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn an_upload_location_of_a_proxied_registry_means_https() {
        let from = url("https://r.io/v2/a/blobs/uploads/");
        let to = |text: &str| upload(&from, &headers(header::LOCATION, text)).map(String::from);
        assert_eq!(to("/v2/a/blobs/uploads/1").unwrap(), "https://r.io/v2/a/blobs/uploads/1");
        assert_eq!(
            to("http://r.io/v2/a/blobs/uploads/1?s=x").unwrap(),
            "https://r.io/v2/a/blobs/uploads/1?s=x"
        );
        assert!(to("http://other.io/v2/a").is_err());
        assert!(upload(&from, &HeaderMap::new()).is_err());
    }

    #[test]
    fn the_next_page_is_of_the_same_list() {
        let from = url("https://r.io/v2/a/tags/list?n=2");
        let next = |text: &str| next_page(&from, &headers(header::LINK, text));
        let page = Some(url("https://r.io/v2/a/tags/list?n=2&last=b"));
        assert_eq!(next("</v2/a/tags/list?n=2&last=b>; rel=\"next\"").unwrap(), page);
        assert_eq!(next("<http://r.io/v2/a/tags/list?n=2&last=b>;rel=next").unwrap(), page);
        assert_eq!(next("</v2/a/tags/list?last=a>; rel=\"prev\"").unwrap(), None);
        assert_eq!(next("nonsense").unwrap(), None);
        assert!(next("<https://r.io/v2/other/tags/list>; rel=\"next\"").is_err());
        assert_eq!(
            next("<https://evil.io/v2/a/tags/list?x>; rel=next").unwrap(),
            Some(url("https://r.io/v2/a/tags/list?x"))
        );
    }
}
