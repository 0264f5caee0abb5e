//! The index at the tag `sha256-<hex>` (distribution-spec 1.1, "Referrers Tag
//! Schema"), as a document that several write.

use plimsoll_model::Digest;
use plimsoll_oci::media_type;
use serde_json::{Value, json};

use super::super::document::Document;
use super::super::error::Error;
use super::super::reader::Reader;
use super::shared::{Form, without};

/// An index. Entries are the same when their digests are; how others labelled
/// theirs stays as it is.
pub(super) struct Referrers;

impl Form for Referrers {
    const MEDIA_TYPE: &'static str = media_type::OCI_INDEX;
    const ENTRIES: &'static str = "manifests";

    fn key(entry: &Value) -> Option<String> {
        Some(entry.get("digest")?.as_str()?.to_owned())
    }

    async fn is_gone(&self, reader: &Reader, entry: &Value) -> bool {
        let Some(digest) = Self::key(entry).and_then(|key| key.parse::<Digest>().ok()) else { return false };
        matches!(reader.by_digest(&digest).await, Ok(None))
    }

    async fn merge(
        &self,
        _reader: &Reader,
        current: Option<&Document>,
        missing: &[Value],
        dropped: &[String],
    ) -> Result<Value, Error> {
        let mut index = match current {
            Some(current) => current.value.clone(),
            None => json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX }),
        };
        let mut entries = match index.get_mut(Self::ENTRIES).map(Value::take) {
            Some(Value::Array(entries)) => entries,
            _ => Vec::new(),
        };
        without::<Self>(&mut entries, dropped);
        entries.extend_from_slice(missing);
        index[Self::ENTRIES] = Value::Array(entries);
        Ok(index)
    }
}
