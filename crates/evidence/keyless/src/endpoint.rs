//! Where a service is: an address that may be spoken to.

use std::fmt;

use reqwest::Url;

/// The base address of a service. It is https, or plain http on loopback, and
/// carries neither credentials nor query nor fragment.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Reads an address.
    ///
    /// # Errors
    /// Why it must not be spoken to, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|e| format!("`{}` is no URL: {e}", excerpt(text)))?;
        if !url.username().is_empty() || url.password().is_some() {
            // Not shown: it holds a secret.
            return Err("it carries credentials".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("`{}` carries a query or a fragment", excerpt(text)));
        }
        may_be_asked(&url)?;
        Ok(Self(url))
    }

    /// `path` beneath the address.
    pub(crate) fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let whole = format!("{}/{}", self.0.path().trim_end_matches('/'), path.trim_start_matches('/'));
        url.set_path(&whole);
        url
    }

    /// The address itself.
    pub(crate) fn url(&self) -> Url {
        self.0.clone()
    }
}

/// Whether a secret or a signature may be sent there.
///
/// # Errors
/// Why not, in words.
pub(crate) fn may_be_asked(url: &Url) -> Result<(), String> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        "http" => Err(format!("`{}` is plain http, which is for loopback only", excerpt(url.as_str()))),
        other => Err(format!("`{other}` is neither https nor http")),
    }
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The start of a text from outside, on one line, for messages.
pub(crate) fn excerpt(text: &str) -> String {
    const MOST: usize = 200;
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MOST + 1)
        .collect::<String>()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    match clean.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for good in [
            "https://fulcio.example.com",
            "http://127.0.0.1:5555",
            "http://localhost:5555/fulcio",
            "http://[::1]:5555",
        ] {
            Endpoint::parse(good).unwrap();
        }
        for bad in [
            "http://fulcio.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "https://user:pass@fulcio.example.com",
            "https://fulcio.example.com?x=1",
            "fulcio.example.com",
            "",
        ] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
        let error = Endpoint::parse("https://user:hunter2@fulcio.example.com").unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn paths_are_joined_beneath() {
        for base in ["https://a.example/sigstore", "https://a.example/sigstore/"] {
            let url = Endpoint::parse(base).unwrap().join("/api/v2/signingCert");
            assert_eq!(url.as_str(), "https://a.example/sigstore/api/v2/signingCert");
        }
    }
}
