//! Takes an image that another tool wrote (`[build.layout]`): an OCI layout
//! directory, an OCI archive, or an archive of `docker save` (BLD-3).
//!
//! Its bytes are kept as they are: the digest is the other tool's.

use std::path::Path;

use plimsoll_oci::archive::{self, ImportOptions};
use plimsoll_oci::{ImageConfig, Layout, Manifest, limits};

use crate::assemble::{Assembled, base_layers};
use crate::error::Error;
use crate::layer::resolve::Root;
use crate::layer::select;
use crate::source::Checkout;

/// `[build.layout]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutSpec {
    /// A path, or a pattern that matches one path, in the checkout after the
    /// build command.
    pub path: String,
    /// Which image, where there are several: its name in the archive, or its
    /// digest.
    pub reference: Option<String>,
}

/// Imports what the build command wrote.
///
/// # Errors
/// Nothing or several things of that name; not an image of one linux/amd64
/// platform; damaged.
pub(crate) fn import(spec: &LayoutSpec, checkout: &Checkout, layout: &Layout) -> Result<Assembled, Error> {
    let root = Root { path: checkout.path().to_owned(), alias: crate::command::enter::SOURCE.into() };
    let path = select::one(&spec.path, &root, "image")?;
    let shown = path.strip_prefix(checkout.path()).unwrap_or(&path);
    take(&path, shown, spec.reference.clone(), layout)
}

/// Imports the image at `path`, which errors call `shown`.
pub(crate) fn take(
    path: &Path,
    shown: &Path,
    reference: Option<String>,
    layout: &Layout,
) -> Result<Assembled, Error> {
    let failed = |source| Error::Import { path: shown.into(), source };
    let options = ImportOptions { reference, ..ImportOptions::default() };
    let descriptor = archive::import(path, layout, &options).map_err(failed)?;
    let bytes = layout.read_blob(&descriptor.digest, limits::MANIFEST).map_err(failed)?;
    let manifest = Manifest::parse(&bytes).map_err(failed)?;
    let bytes = layout.read_blob(&manifest.config.digest, limits::CONFIG).map_err(failed)?;
    let config = ImageConfig::parse(&bytes).map_err(failed)?;
    Ok(Assembled { manifest: descriptor, layers: base_layers(&manifest, &config) })
}
