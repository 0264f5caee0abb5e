//! What is attached, and the manifest that it becomes.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use plimsoll_oci::{Descriptor, Manifest, limits, media_type};

/// A layer of at most so many bytes is also embedded in the manifest, so that
/// who reads the manifest has the layer: a signature, a provenance, a record.
const EMBED_LAYER: usize = 128 << 10;
/// Most bytes that one manifest embeds. Registries accept four mebibytes.
const EMBED_ALL: usize = 1 << 20;
/// The configuration of an artifact that has none (image-spec, "Guidance for
/// an Empty Descriptor").
const EMPTY: &[u8] = b"{}";

/// Bytes of an artifact, and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Their media type.
    pub media_type: String,
    /// The bytes.
    pub bytes: Bytes,
    /// Annotations of the layer. A legacy signature is one.
    pub annotations: BTreeMap<String, String>,
}

impl Blob {
    /// Bytes without annotations.
    pub fn new(media_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self { media_type: media_type.into(), bytes: bytes.into(), annotations: BTreeMap::new() }
    }

    pub(super) fn descriptor(&self) -> Descriptor {
        let mut descriptor = Descriptor::of(self.media_type.as_str(), &self.bytes);
        descriptor.annotations = self.annotations.clone();
        descriptor
    }
}

/// What is to be attached to an image: an SBOM, a signature, a provenance.
///
/// The same artifact always becomes the same manifest; a time belongs in the
/// annotations only if it is the time of what is attached, not of attaching.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Type of the artifact, as it is listed.
    pub artifact_type: String,
    /// Annotations of the manifest, as they are listed.
    pub annotations: BTreeMap<String, String>,
    /// What it consists of; at least one.
    pub layers: Vec<Blob>,
    /// The configuration; none is the empty one.
    pub config: Option<Blob>,
}

impl Artifact {
    /// One document, whose media type is the type of the artifact: the form
    /// that cosign gives to its bundles.
    pub fn document(media_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        let layer = Blob::new(media_type, bytes);
        let artifact_type = layer.media_type.clone();
        Self { artifact_type, annotations: BTreeMap::new(), layers: vec![layer], config: None }
    }

    /// With one annotation more.
    #[must_use]
    pub fn annotated(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// The manifest and its blobs.
    ///
    /// # Errors
    /// The bytes that the manifest would have, or the layers, when registries
    /// accept no such manifest.
    pub(super) fn pack(&self, subject: &Descriptor) -> Result<Packed, u64> {
        let empty = Blob::new(media_type::OCI_EMPTY, EMPTY);
        let config = self.config.as_ref().unwrap_or(&empty);
        let mut embedded = 0;
        let mut describe = |blob: &Blob| {
            let mut descriptor = blob.descriptor();
            let length = blob.bytes.len();
            if length <= EMBED_LAYER && embedded + length <= EMBED_ALL {
                embedded += length;
                descriptor.data = Some(STANDARD.encode(&blob.bytes));
            }
            descriptor
        };
        let mut manifest = Manifest::oci(describe(config), self.layers.iter().map(describe).collect());
        manifest.artifact_type = Some(self.artifact_type.clone());
        // Nothing but what makes a subject: its own annotations are not ours.
        let subject = Descriptor::new(subject.media_type.as_str(), subject.digest, subject.size);
        manifest.subject = Some(subject);
        manifest.annotations = self.annotations.clone();
        let bytes = Bytes::from(manifest.to_bytes());
        if bytes.len() as u64 > limits::MANIFEST || manifest.layers.len() > limits::LAYERS {
            return Err(bytes.len() as u64);
        }
        let mut descriptor = Descriptor::of(media_type::OCI_MANIFEST, &bytes);
        descriptor.artifact_type = Some(self.artifact_type.clone());
        descriptor.annotations = self.annotations.clone();
        let blobs = std::iter::once(config).chain(&self.layers);
        let blobs = blobs.map(|blob| (blob.descriptor(), blob.bytes.clone())).collect();
        Ok(Packed { descriptor, bytes, blobs })
    }
}

/// An artifact as it is sent.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    /// The manifest's, as it is listed.
    pub(super) descriptor: Descriptor,
    /// The manifest.
    pub(super) bytes: Bytes,
    /// Configuration and layers.
    pub(super) blobs: Vec<(Descriptor, Bytes)>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn subject() -> Descriptor {
        Descriptor::of(media_type::OCI_MANIFEST, b"image")
    }

    #[test]
    fn the_same_artifact_is_the_same_manifest() {
        let artifact = Artifact::document("application/vnd.example+json", "{\"a\":1}").annotated("k", "v");
        let mut subject = subject();
        let packed = artifact.pack(&subject).unwrap();
        subject.annotations.insert("who".into(), "asked".into());
        assert_eq!(artifact.pack(&subject).unwrap().bytes, packed.bytes);
        let manifest = Manifest::parse(&packed.bytes).unwrap();
        assert_eq!(manifest.artifact_type.as_deref(), Some("application/vnd.example+json"));
        assert_eq!(manifest.config.media_type, media_type::OCI_EMPTY);
        assert_eq!(manifest.config.data.as_deref(), Some("e30="));
        assert_eq!(manifest.layers[0].data.as_deref(), Some("eyJhIjoxfQ=="));
        assert_eq!(packed.descriptor.annotations["k"], "v");
    }

    #[test]
    fn large_layers_are_not_embedded_and_the_manifest_stays_small() {
        let layer = |length: usize| Blob::new("x", vec![b'x'; length]);
        let layers: Vec<Blob> = (0..20).map(|_| layer(EMBED_LAYER)).chain([layer(EMBED_LAYER + 1)]).collect();
        let artifact = Artifact { layers, ..Artifact::document("x", "") };
        let packed = artifact.pack(&subject()).unwrap();
        let manifest = Manifest::parse(&packed.bytes).unwrap();
        let embedded = manifest.layers.iter().filter(|layer| layer.data.is_some()).count();
        assert_eq!((embedded, manifest.layers[20].data.is_some()), (7, false));
        let huge = Artifact::document("x", "x").annotated("note", "x".repeat(5 << 20));
        assert!(huge.pack(&subject()).unwrap_err() > limits::MANIFEST);
    }
}
