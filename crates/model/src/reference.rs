//! Image references, parsed strictly (TAG-4, DIG-2).
//!
//! Grammar: OCI distribution-spec 1.1, "Pulling manifests", with the host
//! always written: `host[:port]/path`. Docker's shorthand (`ubuntu`,
//! `acme/app`) is refused, because a name without a host means a different
//! repository on each machine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Commit, Digest};

/// `host[:port]/path`, compared byte for byte.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository {
    host: String,
    path: String,
}

/// A reference as a person writes it: repository, perhaps a tag, perhaps a digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageRef {
    /// The repository.
    pub repository: Repository,
    /// The tag, any valid one.
    pub tag: Option<String>,
    /// The digest.
    pub digest: Option<Digest>,
}

/// What may run: `repository:<40-digit sha>@sha256:<digest>` (TAG-4).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PinnedRef {
    repository: Repository,
    sha: Commit,
    digest: Digest,
}

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseReferenceError {
    /// No `host/` in front.
    #[error("`{0}` names no registry host; write `host[:port]/path`")]
    NoHost(String),
    /// The host has characters a host cannot have, or a bad port.
    #[error("`{0}` is not a registry host (`name[:port]`, lower case)")]
    BadHost(String),
    /// The path breaks the grammar.
    #[error(
        "`{0}` is not a repository path (lower-case letters, digits, `.`, `_`, `-`, parts separated by `/`)"
    )]
    BadPath(String),
    /// The tag breaks the grammar.
    #[error("`{0}` is not a tag")]
    BadTag(String),
    /// The digest breaks the grammar.
    #[error(transparent)]
    BadDigest(#[from] crate::ParseDigestError),
    /// A tag or digest where only a repository may stand.
    #[error("`{0}` has a tag or digest; only a repository may stand here")]
    NotARepository(String),
    /// A deployable reference needs a full SHA tag and a digest.
    #[error("`{0}` is not pinned; `repository:<40-digit sha>@sha256:<digest>` is needed")]
    NotPinned(String),
}

impl Repository {
    /// `host[:port]`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The name without host, e.g. `acme/payouts`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the host is this machine: `localhost`, `127.0.0.0/8` or `[::1]`.
    /// Only there is plain http allowed.
    pub fn is_loopback(&self) -> bool {
        let name = match self.host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.host.split(':').next().unwrap_or_default(),
        };
        name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

fn valid_host(host: &str) -> bool {
    let (name, port) = if let Some(rest) = host.strip_prefix('[') {
        let Some((v6, after)) = rest.split_once(']') else { return false };
        if v6.parse::<std::net::Ipv6Addr>().is_err() {
            return false;
        }
        match after.strip_prefix(':') {
            Some(port) => ("", Some(port)),
            None if after.is_empty() => ("", None),
            None => return false,
        }
    } else {
        match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        }
    };
    let name_ok = host.starts_with('[')
        || (!name.is_empty()
            && name.len() <= 253
            && name.split('.').all(|label| {
                !label.is_empty()
                    && label.len() <= 63
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            }));
    let port_ok = port.is_none_or(|p| {
        !p.starts_with('0') && p.bytes().all(|b| b.is_ascii_digit()) && p.parse::<u16>().is_ok()
    });
    name_ok && port_ok
}

/// Whether a text is a repository's name without its host: at most 255 bytes of
/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, separated by `/` (distribution-spec,
/// "Pulling manifests").
pub fn valid_path(path: &str) -> bool {
    path.len() <= 255
        && path.split('/').all(|part| {
            let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            let bytes = part.as_bytes();
            let ends = bytes.first().copied().is_some_and(alnum) && bytes.last().copied().is_some_and(alnum);
            let separators = part.split(|c: char| alnum(u8::try_from(c).unwrap_or(b'!')));
            ends && bytes.iter().all(|&b| alnum(b) || matches!(b, b'.' | b'_' | b'-'))
                && separators
                    .filter(|s| !s.is_empty())
                    .all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
        })
}

/// distribution-spec: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub fn valid_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&tag.len())
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

impl FromStr for ImageRef {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let (host, tail) = rest.split_once('/').ok_or_else(|| ParseReferenceError::NoHost(text.into()))?;
        // `acme/app` has no host: a host has a dot, a port, or is localhost.
        if !(host.contains(['.', ':', '[']) || host == "localhost") {
            return Err(ParseReferenceError::NoHost(text.into()));
        }
        if !valid_host(host) {
            return Err(ParseReferenceError::BadHost(host.into()));
        }
        let (path, tag) = match tail.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (tail, None),
        };
        if !valid_path(path) {
            return Err(ParseReferenceError::BadPath(path.into()));
        }
        if let Some(tag) = tag.filter(|tag| !valid_tag(tag)) {
            return Err(ParseReferenceError::BadTag(tag.into()));
        }
        let repository = Repository { host: host.into(), path: path.into() };
        Ok(Self { repository, tag: tag.map(Into::into), digest })
    }
}

impl FromStr for Repository {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let image: ImageRef = text.parse()?;
        if image.tag.is_some() || image.digest.is_some() {
            return Err(ParseReferenceError::NotARepository(text.into()));
        }
        Ok(image.repository)
    }
}

impl PinnedRef {
    /// Joins the three parts.
    pub fn new(repository: Repository, sha: Commit, digest: Digest) -> Self {
        Self { repository, sha, digest }
    }

    /// The repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The commit, which is the tag.
    pub fn sha(&self) -> &Commit {
        &self.sha
    }

    /// The digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl FromStr for PinnedRef {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let image: ImageRef = text.parse()?;
        let not_pinned = || ParseReferenceError::NotPinned(text.into());
        let sha = image.tag.ok_or_else(not_pinned)?.parse().map_err(|_| not_pinned())?;
        Ok(Self { repository: image.repository, sha, digest: image.digest.ok_or_else(not_pinned)? })
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for PinnedRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}@{}", self.repository, self.sha, self.digest)
    }
}

macro_rules! text_form {
    ($type:ty) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl TryFrom<String> for $type {
            type Error = ParseReferenceError;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}
text_form!(Repository);
text_form!(PinnedRef);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn repositories() {
        for good in [
            "registry.example.com/acme/payouts",
            "localhost/app",
            "127.0.0.1:5000/a",
            "[::1]:5000/a/b__c",
            "r.example:443/a-b.c/d--e",
        ] {
            assert_eq!(good.parse::<Repository>().unwrap().to_string(), good);
        }
        for bad in [
            "payouts",
            "acme/payouts",
            "Registry.example.com/a",
            "r.example/Acme",
            "r.example/",
            "r.example//a",
            "r.example/a/",
            "r.example:/a",
            "r.example:099/a",
            "r.example:70000/a",
            "r.example/a:tag",
            "https://r.example/a",
            "r.example/a..b",
            "r.example/a___b",
            "r.example/../a",
            "-r.example/a",
            "r.example/a b",
            "r.example/ä",
            "",
        ] {
            assert!(bad.parse::<Repository>().is_err(), "{bad}");
        }
    }

    #[test]
    fn loopback() {
        for (text, expected) in [
            ("localhost:1/a", true),
            ("127.0.0.1:1/a", true),
            ("127.9.9.9/a", true),
            ("[::1]:1/a", true),
            ("10.0.0.1:1/a", false),
            ("localhost.evil.example/a", false),
            ("r.example/a", false),
        ] {
            assert_eq!(text.parse::<Repository>().unwrap().is_loopback(), expected, "{text}");
        }
    }

    #[test]
    fn only_sha_and_digest_are_pinned() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let pinned = format!("r.example/a:{SHA}@{digest}");
        assert_eq!(pinned.parse::<PinnedRef>().unwrap().to_string(), pinned);
        for bad in [
            "r.example/a:latest",
            "r.example/a",
            &format!("r.example/a@{digest}"),
            &format!("r.example/a:{SHA}"),
            &format!("r.example/a:v1@{digest}"),
        ] {
            assert!(matches!(bad.parse::<PinnedRef>(), Err(ParseReferenceError::NotPinned(_))), "{bad}");
        }
    }
}
