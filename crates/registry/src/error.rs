//! The error codes of the distribution protocol and the JSON body that carries
//! them (OCI distribution-spec 1.1, "Error Codes"). One table for both sides:
//! the server answers from it, the client reads with it.

use std::fmt;
use std::str::FromStr;

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// One row of the protocol's table of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Blob unknown to the registry.
    BlobUnknown,
    /// The upload cannot go on.
    BlobUploadInvalid,
    /// No such upload session.
    BlobUploadUnknown,
    /// The digest is malformed or is not the content's.
    DigestInvalid,
    /// A manifest names a blob or manifest the registry does not have.
    ManifestBlobUnknown,
    /// The manifest cannot be accepted.
    ManifestInvalid,
    /// No such manifest or tag.
    ManifestUnknown,
    /// The repository name breaks the grammar.
    NameInvalid,
    /// No such repository.
    NameUnknown,
    /// The length is not the content's.
    SizeInvalid,
    /// Authentication is needed.
    Unauthorized,
    /// Authenticated or not, this is not allowed.
    Denied,
    /// The operation is not offered.
    Unsupported,
    /// Too many requests; come back later.
    TooManyRequests,
    /// A byte range does not follow what was uploaded. Not in the
    /// specification's table; `distribution` and those after it answer it.
    RangeInvalid,
}

/// Code, its text on the wire, the status it travels with, its message.
const TABLE: [(Code, &str, StatusCode, &str); 15] = [
    (Code::BlobUnknown, "BLOB_UNKNOWN", StatusCode::NOT_FOUND, "blob unknown to registry"),
    (Code::BlobUploadInvalid, "BLOB_UPLOAD_INVALID", StatusCode::BAD_REQUEST, "blob upload invalid"),
    (
        Code::BlobUploadUnknown,
        "BLOB_UPLOAD_UNKNOWN",
        StatusCode::NOT_FOUND,
        "blob upload unknown to registry",
    ),
    (
        Code::DigestInvalid,
        "DIGEST_INVALID",
        StatusCode::BAD_REQUEST,
        "provided digest did not match uploaded content",
    ),
    (
        Code::ManifestBlobUnknown,
        "MANIFEST_BLOB_UNKNOWN",
        StatusCode::NOT_FOUND,
        "manifest references a manifest or blob unknown to registry",
    ),
    (Code::ManifestInvalid, "MANIFEST_INVALID", StatusCode::BAD_REQUEST, "manifest invalid"),
    (Code::ManifestUnknown, "MANIFEST_UNKNOWN", StatusCode::NOT_FOUND, "manifest unknown to registry"),
    (Code::NameInvalid, "NAME_INVALID", StatusCode::BAD_REQUEST, "invalid repository name"),
    (Code::NameUnknown, "NAME_UNKNOWN", StatusCode::NOT_FOUND, "repository name not known to registry"),
    (
        Code::SizeInvalid,
        "SIZE_INVALID",
        StatusCode::BAD_REQUEST,
        "provided length did not match content length",
    ),
    (Code::Unauthorized, "UNAUTHORIZED", StatusCode::UNAUTHORIZED, "authentication required"),
    (Code::Denied, "DENIED", StatusCode::FORBIDDEN, "requested access to the resource is denied"),
    (Code::Unsupported, "UNSUPPORTED", StatusCode::METHOD_NOT_ALLOWED, "the operation is unsupported"),
    (Code::TooManyRequests, "TOOMANYREQUESTS", StatusCode::TOO_MANY_REQUESTS, "too many requests"),
    (
        Code::RangeInvalid,
        "RANGE_INVALID",
        StatusCode::RANGE_NOT_SATISFIABLE,
        "range does not follow what was uploaded",
    ),
];

impl Code {
    /// Every code, in the order of the specification's table.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    fn row(self) -> &'static (Self, &'static str, StatusCode, &'static str) {
        // The table is written in the order of the variants; a test holds that.
        &TABLE[self as usize]
    }

    /// The text on the wire, e.g. `MANIFEST_UNKNOWN`.
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// The HTTP status that this code travels with.
    pub fn status(self) -> StatusCode {
        self.row().2
    }

    /// The specification's sentence.
    pub fn message(self) -> &'static str {
        self.row().3
    }

    /// Whether it says that what was asked for does not exist.
    pub fn means_absent(self) -> bool {
        matches!(self, Self::BlobUnknown | Self::ManifestUnknown | Self::NameUnknown)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Code {
    /// A code outside the table; registries may have their own.
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        TABLE.iter().find(|row| row.1 == text).map(|row| row.0).ok_or(UnknownCode)
    }
}

/// A text that is no row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an error code of the distribution protocol")]
pub struct UnknownCode;

/// The JSON body of an error answer: `{"errors":[{"code","message","detail"}]}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Body {
    /// One entry or more.
    pub errors: Vec<Entry>,
}

/// One error in a [`Body`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// A text of the table, or a registry's own.
    pub code: String,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<serde_json::Value>,
}

impl Body {
    /// The body of one error with the specification's own sentence.
    pub fn of(code: Code) -> Self {
        Self::with(code, code.message())
    }

    /// The body of one error with a sentence that says more.
    pub fn with(code: Code, message: impl Into<String>) -> Self {
        Self { errors: vec![Entry { code: code.as_str().into(), message: message.into(), detail: None }] }
    }

    /// Reads a body; `None` when it is not one, or holds no error.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|body: &Self| !body.errors.is_empty())
    }

    /// The codes of the table that the body carries.
    pub fn codes(&self) -> impl Iterator<Item = Code> {
        self.errors.iter().filter_map(|entry| entry.code.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_variants() {
        for (at, code) in Code::all().enumerate() {
            assert_eq!(code as usize, at);
            assert_eq!(code.as_str().parse::<Code>().unwrap(), code);
        }
    }

    #[test]
    fn a_body_reads_back_and_nonsense_is_no_body() {
        let body = Body::of(Code::ManifestUnknown);
        let bytes = serde_json::to_vec(&body).unwrap();
        assert_eq!(Body::parse(&bytes).unwrap().codes().collect::<Vec<_>>(), [Code::ManifestUnknown]);
        for bad in [&b"<html>"[..], b"{}", b"{\"errors\":[]}", b"{\"errors\":1}", b""] {
            assert_eq!(Body::parse(bad), None);
        }
        let own = br#"{"errors":[{"code":"QUOTA","message":"full","detail":{"a":1}}]}"#;
        assert_eq!(Body::parse(own).unwrap().codes().count(), 0);
    }
}
