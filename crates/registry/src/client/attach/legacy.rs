//! The tags that cosign 2 reads: `sha256-<hex>.sig` and `.att`, each an image
//! manifest with one layer per signature or attestation.

use std::collections::BTreeMap;

use bytes::Bytes;
use plimsoll_model::Digest;
use plimsoll_oci::{Descriptor, limits, media_type};
use serde_json::{Value, json};

use super::super::document::Document;
use super::super::error::Error;
use super::super::listing::referrers_tag;
use super::super::reader::Reader;
use super::shared::{Form, without};
use super::write::Writer;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegacyTag {
    /// `.sig`: simple signing payloads, the signature in an annotation.
    Signatures,
    /// `.att`: DSSE envelopes.
    Attestations,
}

impl LegacyTag {
    /// The tag of a subject.
    pub fn of(self, subject: &Digest) -> String {
        let end = match self {
            Self::Signatures => "sig",
            Self::Attestations => "att",
        };
        format!("{}.{end}", referrers_tag(subject))
    }
}

/// The time that cosign writes where there is none.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// A manifest of signatures. Two layers are the same when bytes and
/// annotations are: two signatures over one payload have one digest.
pub(super) struct Layers<'a> {
    pub(super) writer: &'a Writer,
}

impl Layers<'_> {
    /// The configuration that belongs to the layers there are, as JSON. It is
    /// no evidence: one that is missing or damaged is made anew.
    async fn config(&self, reader: &Reader, current: Option<&Document>) -> Result<Option<Value>, Error> {
        let Some(config) = current.and_then(|current| current.value.get("config")) else { return Ok(None) };
        let Ok(config) = serde_json::from_value::<Descriptor>(config.clone()) else { return Ok(None) };
        match reader.blob_bytes(&config, limits::CONFIG).await {
            Ok(Some(bytes)) => Ok(serde_json::from_slice(&bytes).ok().filter(Value::is_object)),
            Ok(None) | Err(Error::Content { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Form for Layers<'_> {
    const MEDIA_TYPE: &'static str = media_type::OCI_MANIFEST;
    const ENTRIES: &'static str = "layers";

    fn key(entry: &Value) -> Option<String> {
        let digest = entry.get("digest")?.as_str()?;
        // Sorted, so that two writers of one annotation set agree.
        let annotations: BTreeMap<&str, &str> = entry
            .get("annotations")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
            .collect();
        Some(format!("{digest} {annotations:?}"))
    }

    async fn is_gone(&self, reader: &Reader, entry: &Value) -> bool {
        let Ok(layer) = serde_json::from_value::<Descriptor>(entry.clone()) else { return false };
        matches!(reader.has_blob(&layer).await, Ok(false))
    }

    async fn merge(
        &self,
        reader: &Reader,
        current: Option<&Document>,
        missing: &[Value],
        dropped: &[String],
    ) -> Result<Value, Error> {
        let mut manifest = match current {
            Some(current) => current.value.clone(),
            None => json!({ "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST }),
        };
        let mut layers = match manifest.get_mut(Self::ENTRIES).map(Value::take) {
            Some(Value::Array(layers)) => layers,
            _ => Vec::new(),
        };
        let config = self.config(reader, current).await?;
        without::<Self>(&mut layers, dropped);
        layers.extend_from_slice(missing);

        // What is appended is not compressed: its digest is its diff id. So it
        // is for what cosign appended.
        let ids: Vec<&str> = layers.iter().filter_map(|layer| layer.get("digest")?.as_str()).collect();
        let mut config = config
            .unwrap_or_else(|| json!({ "architecture": "", "created": NO_TIME, "os": "", "config": {} }));
        config["history"] = ids.iter().map(|_| json!({ "created": NO_TIME })).collect();
        config["rootfs"] = json!({ "type": "layers", "diff_ids": ids });
        let bytes = Bytes::from(serde_json::to_vec(&config).expect("a JSON value has text keys"));
        let descriptor = Descriptor::of(media_type::OCI_CONFIG, &bytes);
        self.writer.blob(&descriptor, &bytes).await?;
        manifest["config"] = serde_json::to_value(&descriptor).expect("a descriptor has text keys");
        manifest[Self::ENTRIES] = Value::Array(layers);
        Ok(manifest)
    }
}
