//! What an SBOM is made of: an image in a layout, an archive, a directory.

use std::path::{Path, PathBuf};

use plimsoll_model::Digest;
use plimsoll_oci::{ImageConfig, ImportOptions, Layout, Manifest, import, limits};
use tempfile::TempDir;

use crate::Error;

/// An image or a directory. Cheap to make; it is read by [`crate::generate`].
#[derive(Debug)]
pub struct Source(pub(crate) Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    Image {
        layout: PathBuf,
        manifest: Digest,
        /// Holds what was unpacked from an archive.
        _unpacked: Option<TempDir>,
    },
    Directory(PathBuf),
}

impl Source {
    /// The image with this manifest digest in `layout`.
    pub fn image(layout: &Layout, manifest: Digest) -> Self {
        Self(Kind::Image { layout: layout.path().to_owned(), manifest, _unpacked: None })
    }

    /// A directory with the files of an unpacked image, or of anything else.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self(Kind::Directory(path.into()))
    }

    /// Whatever is at `path`: an image layout, an archive (OCI, or of
    /// `docker save`), or a directory. `reference` says which image, where
    /// there are several.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Image`] as [`plimsoll_oci::import`] has it.
    pub fn open(path: &Path, reference: Option<&str>) -> Result<Self, Error> {
        let metadata = std::fs::metadata(path).map_err(|e| Error::io("open", path, e))?;
        let marked = |name| path.join(name).symlink_metadata().is_ok();
        if metadata.is_dir() && !(marked("oci-layout") && marked("index.json")) {
            return Ok(Self::directory(path));
        }
        if metadata.is_dir() && reference.is_none() {
            let layout = Layout::open(path)?;
            if let Some(manifest) = only_image(&layout)? {
                return Ok(Self::image(&layout, manifest));
            }
        }
        let unpacked = tempfile::tempdir().map_err(|e| Error::io("create", std::env::temp_dir(), e))?;
        let layout = Layout::open_or_create(unpacked.path().join("layout"))?;
        let options = ImportOptions { reference: reference.map(Into::into), ..ImportOptions::default() };
        let manifest = import(path, &layout, &options)?.digest;
        Ok(Self(Kind::Image { layout: layout.path().to_owned(), manifest, _unpacked: Some(unpacked) }))
    }
}

/// The one image manifest of a layout, if there is exactly one: it need not be
/// copied to be read.
fn only_image(layout: &Layout) -> Result<Option<Digest>, Error> {
    let mut digests: Vec<_> = layout.manifests()?.into_iter().map(|listed| listed.digest).collect();
    digests.sort_unstable();
    digests.dedup();
    let [digest] = digests[..] else { return Ok(None) };
    let bytes = layout.read_blob(&digest, limits::MANIFEST)?;
    Ok(Manifest::parse(&bytes).is_ok().then_some(digest))
}

/// Manifest and configuration of an image.
pub(crate) fn describe(layout: &Layout, digest: &Digest) -> Result<(Manifest, ImageConfig), Error> {
    let manifest = Manifest::parse(&layout.read_blob(digest, limits::MANIFEST)?)?;
    let config = ImageConfig::parse(&layout.read_blob(&manifest.config.digest, limits::CONFIG)?)?;
    plimsoll_oci::require_linux_amd64(&format!("image {digest}"), &manifest, &config)?;
    Ok((manifest, config))
}
