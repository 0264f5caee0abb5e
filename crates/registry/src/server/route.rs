//! From a request path to an endpoint (distribution-spec 1.1, "Endpoints").
//!
//! Repository names contain slashes, so paths are read from their end. This is
//! also the one gate for everything that becomes part of a file name: what
//! leaves here is a name by the specification's grammar, a tag by its grammar
//! or a parsed digest, and nothing else.

use std::fmt;

use plimsoll_model::Digest;
use plimsoll_model::reference::{valid_path, valid_tag};

use super::answer::Failure;
use crate::error::Code;

/// A repository's name: by the grammar, and with no component that is the
/// name of a part of an image layout.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name(String);

/// Parts of a layout. `acme/blobs` would lie inside the layout of `acme`.
const RESERVED: [&str; 3] = ["blobs", "index.json", "oci-layout"];

impl Name {
    /// Checks a text from outside.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        if !valid_path(text) {
            return Err(Failure::new(Code::NameInvalid).say(
                "repository names are lower-case letters, digits, `.`, `_`, `-`, in parts separated by `/`",
            ));
        }
        if let Some(part) = text.split('/').find(|part| RESERVED.contains(part)) {
            return Err(Failure::new(Code::NameInvalid).say(format!(
                "`{part}` is a part of the image layout on disk and cannot be part of a name"
            )));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a manifest is named in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// By its tag.
    Tag(String),
    /// By its digest.
    Digest(Digest),
}

/// What a path points at.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `/v2/` (end-1).
    Base,
    /// `/v2/_catalog`, from before the specification.
    Catalog,
    /// end-2, end-10.
    Blob(Name, Digest),
    /// end-3, end-7, end-9.
    Manifest(Name, Reference),
    /// end-4, end-11.
    Uploads(Name),
    /// end-5, end-6, end-13, end-14.
    Upload(Name, String),
    /// end-8.
    Tags(Name),
    /// end-12.
    Referrers(Name, Digest),
}

/// A digest from outside; anything but SHA-256 is refused.
pub(super) fn parse_digest(text: &str) -> Result<Digest, Failure> {
    text.parse().map_err(|_| {
        Failure::new(Code::DigestInvalid).say(
            "a digest is `sha256:` and 64 lower-case hexadecimal digits; no other algorithm is kept here",
        )
    })
}

/// A tag from outside.
pub(super) fn parse_tag(text: &str) -> Result<String, Failure> {
    if valid_tag(text) {
        Ok(text.into())
    } else {
        Err(Failure::new(Code::ManifestInvalid)
            .say("a tag is at most 128 letters, digits, `_`, `.`, `-` and starts with neither `.` nor `-`"))
    }
}

impl Endpoint {
    /// Reads a request's path.
    pub(super) fn parse(path: &str) -> Result<Self, Failure> {
        let unknown =
            || Failure::new(Code::Unsupported).status(http::StatusCode::NOT_FOUND).say("no such endpoint");
        let rest = match path {
            "/v2" | "/v2/" => return Ok(Self::Base),
            "/v2/_catalog" => return Ok(Self::Catalog),
            _ => path.strip_prefix("/v2/").ok_or_else(unknown)?,
        };
        let (head, last) = rest.rsplit_once('/').ok_or_else(unknown)?;
        let (name, kind) = head.rsplit_once('/').ok_or_else(unknown)?;
        // The colon of a digest is the one character that clients escape.
        let last = last.replace("%3A", ":").replace("%3a", ":");
        match (kind, last.as_str()) {
            ("tags", "list") => Ok(Self::Tags(Name::parse(name)?)),
            ("manifests", reference) => {
                let name = Name::parse(name)?;
                Ok(Self::Manifest(
                    name,
                    if reference.contains(':') {
                        Reference::Digest(parse_digest(reference)?)
                    } else {
                        Reference::Tag(parse_tag(reference)?)
                    },
                ))
            }
            ("referrers", digest) => Ok(Self::Referrers(Name::parse(name)?, parse_digest(digest)?)),
            ("blobs", "uploads") => Ok(Self::Uploads(Name::parse(name)?)),
            ("uploads", id) if name.ends_with("/blobs") => {
                let name = Name::parse(&name[..name.len() - "/blobs".len()])?;
                Ok(if id.is_empty() { Self::Uploads(name) } else { Self::Upload(name, id.into()) })
            }
            ("blobs", digest) => Ok(Self::Blob(Name::parse(name)?, parse_digest(digest)?)),
            _ => Err(unknown()),
        }
    }

    /// The methods it answers, for `Allow`.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            Self::Base | Self::Catalog | Self::Tags(_) | Self::Referrers(..) => "GET, HEAD",
            Self::Blob(..) => "GET, HEAD, DELETE",
            Self::Manifest(..) => "GET, HEAD, PUT, DELETE",
            Self::Uploads(_) => "POST",
            Self::Upload(..) => "GET, HEAD, PATCH, PUT, DELETE",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).ok().unwrap()
    }

    #[test]
    fn paths_are_read_from_their_end() {
        let hex = "0a".repeat(32);
        let digest = format!("sha256:{hex}");
        let parsed: Digest = digest.parse().unwrap();
        let cases = [
            ("/v2/".into(), Endpoint::Base),
            ("/v2".into(), Endpoint::Base),
            ("/v2/_catalog".into(), Endpoint::Catalog),
            ("/v2/a/tags/list".into(), Endpoint::Tags(name("a"))),
            ("/v2/tags/list/tags/list".into(), Endpoint::Tags(name("tags/list"))),
            ("/v2/a/manifests/v1".into(), Endpoint::Manifest(name("a"), Reference::Tag("v1".into()))),
            (
                format!("/v2/a/b/manifests/sha256%3A{hex}"),
                Endpoint::Manifest(name("a/b"), Reference::Digest(parsed)),
            ),
            (format!("/v2/manifests/manifests/blobs/{digest}"), {
                Endpoint::Blob(name("manifests/manifests"), parsed)
            }),
            ("/v2/a/blobs/uploads/".into(), Endpoint::Uploads(name("a"))),
            ("/v2/a/blobs/uploads".into(), Endpoint::Uploads(name("a"))),
            ("/v2/uploads/blobs/uploads/x".into(), Endpoint::Upload(name("uploads"), "x".into())),
            (format!("/v2/a/referrers/{digest}"), Endpoint::Referrers(name("a"), parsed)),
        ];
        for (path, expected) in cases {
            assert!(Endpoint::parse(&path).is_ok_and(|found| found == expected), "{path}");
        }
    }

    #[test]
    fn nothing_else_becomes_a_file_name() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (path, code) in [
            ("/v2/../tags/list".to_owned(), Code::NameInvalid),
            ("/v2/a/../../b/tags/list".into(), Code::NameInvalid),
            ("/v2/a%2F..%2Fb/tags/list".into(), Code::NameInvalid),
            ("/v2//tags/list".into(), Code::NameInvalid),
            ("/v2/A/tags/list".into(), Code::NameInvalid),
            ("/v2/a\0/tags/list".into(), Code::NameInvalid),
            (format!("/v2/{}/tags/list", "a".repeat(256)), Code::NameInvalid),
            ("/v2/a/blobs/tags/list".into(), Code::NameInvalid),
            ("/v2/a/index.json/tags/list".into(), Code::NameInvalid),
            ("/v2/.uploads/tags/list".into(), Code::NameInvalid),
            ("/v2/a/manifests/..".into(), Code::ManifestInvalid),
            ("/v2/a/manifests/".into(), Code::ManifestInvalid),
            (format!("/v2/a/manifests/{}", "t".repeat(129)), Code::ManifestInvalid),
            ("/v2/a/manifests/sha256:00".into(), Code::DigestInvalid),
            ("/v2/a/blobs/sha256:../../../etc".into(), Code::Unsupported),
            ("/v2/a/blobs/sha256:..".into(), Code::DigestInvalid),
            (format!("/v2/a/blobs/sha512:{}", "0a".repeat(64)), Code::DigestInvalid),
            (format!("/v2/a/referrers/{}", &digest[..70]), Code::DigestInvalid),
            ("/v2/a".into(), Code::Unsupported),
            ("/v2/a/b".into(), Code::Unsupported),
            ("/v1/a/tags/list".into(), Code::Unsupported),
            ("/".into(), Code::Unsupported),
            ("".into(), Code::Unsupported),
        ] {
            match Endpoint::parse(&path) {
                Ok(_) => panic!("accepted {path:?}"),
                Err(failure) => assert_eq!(failure.code(), Some(code), "{path:?}"),
            }
        }
    }
}
