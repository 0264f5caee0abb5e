//! A document at a tag that several clients keep together: the index of the
//! referrers, and the legacy manifests of signatures and attestations. It is
//! read as JSON, not as our types, so that what is written again has lost
//! nothing that we do not know.

use bytes::Bytes;
use http::{HeaderValue, header};
use plimsoll_model::Digest;
use plimsoll_oci::media_type;
use serde_json::Value;

use super::error::Error;
use super::reader::{Reader, announced};

/// What a tag has.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) bytes: Bytes,
    /// Digest of the bytes.
    pub(super) digest: Digest,
    /// What a conditional write names it by, if the registry says.
    pub(super) etag: Option<HeaderValue>,
    /// The media type it says that it is.
    pub(super) media_type: String,
    /// A JSON object.
    pub(super) value: Value,
}

impl Reader {
    /// The document at a tag; `None` when there is no such tag.
    pub(super) async fn document(&self, tag: &str, operation: &str) -> Result<Option<Document>, Error> {
        let Some(answer) = self.get_document(tag, operation).await? else { return Ok(None) };
        let digest = self.verify_document(&answer, None, operation)?;
        let nonsense = || Error::Nonsense { at: self.wire.at(operation), found: answer.describe() };
        let wrong = |expected: &str, found: String| Error::Content {
            at: self.wire.at(operation),
            expected: expected.into(),
            found,
        };
        let kind = announced(&answer);
        let value = match (serde_json::from_slice::<Value>(&answer.body), kind) {
            (Ok(value @ Value::Object(_)), _) => value,
            (_, Some(kind)) => return Err(wrong(kind, "something that is no JSON object".into())),
            (_, None) => return Err(nonsense()),
        };
        let media_type = match (value.get("mediaType"), kind) {
            (Some(Value::String(written)), Some(kind)) if written != kind => {
                return Err(wrong(kind, format!("it calls itself `{}`", super::error::excerpt(written))));
            }
            (Some(Value::String(written)), _) => written.clone(),
            (Some(_), _) => return Err(wrong("a media type", "one that is no text".into())),
            (None, Some(kind)) => kind.into(),
            (None, None) if value.get("manifests").is_some() => media_type::OCI_INDEX.into(),
            (None, None) if value.get("layers").is_some() => media_type::OCI_MANIFEST.into(),
            (None, None) => return Err(nonsense()),
        };
        // Two readers could take it for different things.
        if value.get("manifests").is_some()
            && (value.get("layers").is_some() || value.get("config").is_some())
        {
            return Err(wrong(&media_type, "a document with both layers and manifests".into()));
        }
        let etag = answer.headers.get(header::ETAG).cloned();
        Ok(Some(Document { bytes: answer.body.clone(), digest, etag, media_type, value }))
    }
}
