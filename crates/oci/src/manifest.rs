//! Image manifests and indexes (image-spec, manifest.md and image-index.md).
//!
//! Serialisation is canonical: compact JSON, fields in the order in which the
//! specification lists them, maps sorted by key. The digest of what was *read*
//! is always that of the bytes read; nothing read is serialised again to be
//! hashed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::serde_forms::null_default;
use crate::{Descriptor, Error, Result, limits, media_type};

/// The manifest of one image, or of an artifact in the form of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always 2.
    #[serde(rename = "schemaVersion")]
    pub schema_version: u32,
    /// Media type of this document; OCI documents may leave it out.
    #[serde(rename = "mediaType", default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Type of an artifact that is no image.
    #[serde(rename = "artifactType", default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The image configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(deserialize_with = "null_default")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one refers to (referrers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Fields that this version does not know, kept as they were.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl Manifest {
    /// An OCI image manifest of this configuration and these layers.
    pub fn oci(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.into()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
            extra: BTreeMap::new(),
        }
    }

    /// Reads an image manifest, OCI or Docker schema 2.
    ///
    /// # Errors
    /// As [`crate::ManifestKind::parse`]; an index is [`Error::IsIndex`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        crate::ManifestKind::parse(bytes, None)?.into_image("the manifest")
    }

    /// The media type: the one written, or OCI's where none is written.
    pub fn effective_media_type(&self) -> &str {
        self.media_type.as_deref().unwrap_or(media_type::OCI_MANIFEST)
    }

    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest has only string keys")
    }

    /// Configuration and layers: every blob that the manifest needs.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }

    /// Sum of the sizes of configuration and layers, as written.
    pub fn total_size(&self) -> u64 {
        self.blobs().fold(0, |sum, blob| sum.saturating_add(blob.size))
    }
}

/// A list of manifests, for several platforms or as the referrers of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// Always 2.
    #[serde(rename = "schemaVersion")]
    pub schema_version: u32,
    /// Media type of this document; OCI documents may leave it out.
    #[serde(rename = "mediaType", default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Type of an artifact that is no image.
    #[serde(rename = "artifactType", default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests.
    #[serde(deserialize_with = "null_default")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Fields that this version does not know, kept as they were.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl Index {
    /// An OCI index of these manifests.
    pub fn oci(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::OCI_INDEX.into()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
            extra: BTreeMap::new(),
        }
    }

    /// Reads an index, OCI or Docker manifest list.
    ///
    /// # Errors
    /// As [`crate::ManifestKind::parse`]; anything but an index is
    /// [`Error::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        match crate::ManifestKind::parse(bytes, None)? {
            crate::ManifestKind::Index(index) => Ok(index),
            _ => Err(Error::malformed("the index", "it is a manifest, not an index")),
        }
    }

    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an index has only string keys")
    }
}

/// Refuses what is too large before it is parsed.
pub(crate) fn check_size(object: &str, bytes: &[u8], limit: u64) -> Result<()> {
    if bytes.len() as u64 > limit {
        return Err(Error::TooLarge { object: object.into(), limit });
    }
    Ok(())
}

/// Checks the numbers that serde does not: schema version and count of layers.
pub(crate) fn check_manifest(manifest: &Manifest) -> Result<()> {
    check_schema("the manifest", manifest.schema_version)?;
    if manifest.layers.len() > limits::LAYERS {
        return Err(Error::malformed(
            "the manifest",
            format!("it has {} layers; {} are the most", manifest.layers.len(), limits::LAYERS),
        ));
    }
    Ok(())
}

/// Only schema version 2 is read.
pub(crate) fn check_schema(object: &str, version: u32) -> Result<()> {
    if version != 2 {
        return Err(Error::malformed(object, format!("its schemaVersion is {version}; 2 is needed")));
    }
    Ok(())
}
