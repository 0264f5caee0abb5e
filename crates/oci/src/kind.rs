//! Which kind of manifest some bytes are, and the refusal of all but
//! linux/amd64 images (BLD-4).

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::manifest::{check_manifest, check_schema, check_size};
use crate::{Descriptor, Error, ImageConfig, Index, Manifest, Platform, Result, limits, media_type};

/// A parsed manifest document.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "few are ever alive, and a box would show in every match")]
pub enum ManifestKind {
    /// One image (or artifact in the form of one).
    Image(Manifest),
    /// Several manifests.
    Index(Index),
    /// Something else that a registry may hold, e.g. Docker schema 1.
    Other {
        /// Its media type.
        media_type: String,
    },
}

/// What tells the kinds apart.
#[derive(Deserialize)]
struct Probe {
    #[serde(rename = "schemaVersion")]
    schema_version: Option<u32>,
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<IgnoredAny>,
}

impl ManifestKind {
    /// Reads a manifest document of at most [`limits::MANIFEST`] bytes.
    /// `expected` is the media type that the descriptor or the
    /// `Content-Type` header says.
    ///
    /// A document that contradicts `expected`, or that has both `layers` and
    /// `manifests`, is refused: two readers could take it for different
    /// things (image-spec 1.0.2, security note on media type confusion).
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Malformed`].
    pub fn parse(bytes: &[u8], expected: Option<&str>) -> Result<Self> {
        const WHAT: &str = "the manifest";
        check_size(WHAT, bytes, limits::MANIFEST)?;
        let probe: Probe = serde_json::from_slice(bytes).map_err(|e| Error::malformed(WHAT, e))?;
        if let (Some(expected), Some(written)) = (expected, &probe.media_type)
            && expected != written
        {
            return Err(Error::malformed(
                WHAT,
                format!("it was announced as {expected} but calls itself {written}"),
            ));
        }
        let stated = probe.media_type.as_deref().or(expected);
        let image_like = probe.layers.is_some() || probe.config.is_some();
        if image_like && probe.manifests.is_some() {
            return Err(Error::malformed(WHAT, "it has both layers and manifests, so it has no one meaning"));
        }
        match stated {
            Some(t) if media_type::is_image_manifest(t) => Self::image(bytes),
            Some(t) if media_type::is_index(t) => Self::index(bytes).map(Self::Index),
            Some(t) => Ok(Self::Other { media_type: t.into() }),
            None if probe.schema_version == Some(1) || probe.fs_layers.is_some() => {
                Ok(Self::Other { media_type: media_type::DOCKER_MANIFEST_SCHEMA1.into() })
            }
            None if probe.manifests.is_some() => Self::index(bytes).map(Self::Index),
            None if image_like => Self::image(bytes),
            None => Err(Error::malformed(WHAT, "it has neither layers nor manifests")),
        }
    }

    fn image(bytes: &[u8]) -> Result<Self> {
        let manifest: Manifest =
            serde_json::from_slice(bytes).map_err(|e| Error::malformed("the manifest", e))?;
        check_manifest(&manifest)?;
        Ok(Self::Image(manifest))
    }

    pub(crate) fn index(bytes: &[u8]) -> Result<Index> {
        let index: Index = serde_json::from_slice(bytes).map_err(|e| Error::malformed("the index", e))?;
        check_schema("the index", index.schema_version)?;
        Ok(index)
    }

    /// The media type of the document.
    pub fn media_type(&self) -> &str {
        match self {
            Self::Image(manifest) => manifest.effective_media_type(),
            Self::Index(index) => index.media_type.as_deref().unwrap_or(media_type::OCI_INDEX),
            Self::Other { media_type } => media_type,
        }
    }

    /// The manifest that this one refers to.
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Image(manifest) => manifest.subject.as_ref(),
            Self::Index(index) => index.subject.as_ref(),
            Self::Other { .. } => None,
        }
    }

    /// The image manifest; `object` names it in the error.
    ///
    /// # Errors
    /// [`Error::IsIndex`] with the platforms it lists, or
    /// [`Error::UnsupportedMediaType`].
    pub fn into_image(self, object: &str) -> Result<Manifest> {
        match self {
            Self::Image(manifest) => Ok(manifest),
            Self::Index(index) => Err(Error::IsIndex {
                object: object.into(),
                platforms: index
                    .manifests
                    .iter()
                    .take(16)
                    .map(|m| {
                        m.platform.as_ref().map_or_else(
                            || m.digest.to_string(),
                            |platform| format!("{platform} {}", m.digest),
                        )
                    })
                    .collect(),
            }),
            Self::Other { media_type } => {
                Err(Error::UnsupportedMediaType { object: object.into(), media_type })
            }
        }
    }
}

/// Refuses all but one linux/amd64 image (BLD-4): the configuration must say
/// so, its media type must be that of an image configuration, and each layer
/// must be of a kind that can be unpacked, one diff id for each.
///
/// `object` names the image in the error.
///
/// # Errors
/// [`Error::WrongPlatform`], [`Error::UnsupportedMediaType`],
/// [`Error::Malformed`].
pub fn require_linux_amd64(object: &str, manifest: &Manifest, config: &ImageConfig) -> Result<()> {
    if !media_type::is_image_config(&manifest.config.media_type) {
        return Err(Error::UnsupportedMediaType {
            object: object.into(),
            media_type: manifest.config.media_type.clone(),
        });
    }
    if config.os != "linux" || config.architecture != "amd64" {
        return Err(Error::WrongPlatform {
            object: object.into(),
            expected: Platform::linux_amd64().to_string(),
            found: config.platform().to_string(),
        });
    }
    if let Some(layer) =
        manifest.layers.iter().find(|l| media_type::layer_compression(&l.media_type).is_none())
    {
        return Err(Error::UnsupportedMediaType {
            object: format!("layer {} of {object}", layer.digest.short()),
            media_type: layer.media_type.clone(),
        });
    }
    if manifest.layers.len() != config.rootfs.diff_ids.len() {
        return Err(Error::malformed(
            object,
            format!(
                "its manifest has {} layers and its configuration {} diff ids",
                manifest.layers.len(),
                config.rootfs.diff_ids.len()
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn manifest() -> Manifest {
        let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
        let layer = Descriptor::of(media_type::OCI_LAYER_TAR_GZIP, b"layer");
        Manifest::oci(config, vec![layer])
    }

    fn config(arch: &str) -> ImageConfig {
        let mut config = ImageConfig::linux_amd64();
        config.architecture = arch.into();
        config.rootfs.diff_ids.push(crate::digest_of(b"tar"));
        config
    }

    #[test]
    fn an_image_survives_the_round_trip() {
        let bytes = manifest().to_bytes();
        assert_eq!(ManifestKind::parse(&bytes, None).unwrap(), ManifestKind::Image(manifest()));
        assert_eq!(Manifest::parse(&bytes).unwrap().to_bytes(), bytes);
        assert!(bytes.starts_with(br#"{"schemaVersion":2,"mediaType":"#));
    }

    #[test]
    fn bld_4_an_index_is_refused_with_its_platforms() {
        let mut entry = Descriptor::of(media_type::OCI_MANIFEST, b"m");
        entry.platform = Some(Platform { architecture: "arm64".into(), ..Platform::linux_amd64() });
        let bytes = Index::oci(vec![entry]).to_bytes();
        match Manifest::parse(&bytes) {
            Err(Error::IsIndex { platforms, .. }) => assert!(platforms[0].starts_with("linux/arm64 sha256:")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bld_4_only_linux_amd64_passes() {
        require_linux_amd64("x", &manifest(), &config("amd64")).unwrap();
        assert!(matches!(
            require_linux_amd64("x", &manifest(), &config("arm64")),
            Err(Error::WrongPlatform { .. })
        ));
        let mut windows = config("amd64");
        windows.os = "windows".into();
        assert!(matches!(require_linux_amd64("x", &manifest(), &windows), Err(Error::WrongPlatform { .. })));
        let mut artifact = manifest();
        artifact.config.media_type = media_type::OCI_EMPTY.into();
        assert!(matches!(
            require_linux_amd64("x", &artifact, &config("amd64")),
            Err(Error::UnsupportedMediaType { .. })
        ));
        let mut missing = config("amd64");
        missing.rootfs.diff_ids.clear();
        assert!(matches!(require_linux_amd64("x", &manifest(), &missing), Err(Error::Malformed { .. })));
    }

    #[test]
    fn a_document_of_two_meanings_is_refused() {
        let both = br#"{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}"#;
        assert!(matches!(ManifestKind::parse(both, None), Err(Error::Malformed { .. })));
        let bytes = manifest().to_bytes();
        assert!(matches!(
            ManifestKind::parse(&bytes, Some(media_type::OCI_INDEX)),
            Err(Error::Malformed { .. })
        ));
        let twice = br#"{"schemaVersion":2,"layers":[],"layers":[]}"#;
        assert!(matches!(ManifestKind::parse(twice, None), Err(Error::Malformed { .. })));
    }

    #[test]
    fn other_documents_and_nonsense() {
        let schema1 = br#"{"schemaVersion":1,"fsLayers":[]}"#;
        assert!(matches!(ManifestKind::parse(schema1, None), Ok(ManifestKind::Other { .. })));
        for bad in [&b"{}"[..], b"", b"[]", b"null", b"<html>", b"{\"schemaVersion\":3,\"manifests\":[]}"] {
            assert!(ManifestKind::parse(bad, None).is_err(), "{bad:?}");
        }
        let large = vec![b' '; limits::MANIFEST as usize + 1];
        assert!(matches!(ManifestKind::parse(&large, None), Err(Error::TooLarge { .. })));
        let deep = format!("{{\"schemaVersion\":2,\"manifests\":{}", "[".repeat(100_000));
        assert!(ManifestKind::parse(deep.as_bytes(), None).is_err());
    }
}
