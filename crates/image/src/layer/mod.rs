//! Reproducible layers: from files of the checkout to a compressed blob in the
//! local store (BLD-2).
//!
//! `select` decides which files go where, `tar` writes them, `compress`
//! packs and hashes on all cores. Memory is bounded by the number of workers,
//! whatever the size of the layer.

pub(crate) mod base;
pub(crate) mod compress;
pub(crate) mod resolve;
pub(crate) mod select;
pub(crate) mod tar;

use plimsoll_model::Digest;
use plimsoll_oci::{Descriptor, Layout};
use tokio_util::sync::CancellationToken;

use compress::{Compression, PackError, default_workers};
use select::Tree;
use tar::TarStream;

use crate::error::Error;

/// A layer in the local store.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    pub(crate) descriptor: Descriptor,
    pub(crate) diff_id: Digest,
    pub(crate) uncompressed_size: u64,
    pub(crate) entries: u64,
}

impl Layer {
    /// Media type, digest and size of the compressed blob.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Digest of the uncompressed tar.
    pub fn diff_id(&self) -> Digest {
        self.diff_id
    }

    /// Bytes of the uncompressed tar; 0 where it is not known (base layers).
    pub fn uncompressed_size(&self) -> u64 {
        self.uncompressed_size
    }

    /// Files, directories and links in it; 0 where it is not known.
    pub fn entries(&self) -> u64 {
        self.entries
    }
}

/// Writes a layer of `tree` to `layout`, every entry dated `mtime` (seconds
/// since 1970).
pub(crate) fn write(
    tree: &Tree,
    mtime: u64,
    compression: Compression,
    layout: &Layout,
    cancel: &CancellationToken,
) -> Result<Layer, Error> {
    let store = |source| Error::Store { source };
    let mut blob = layout.writer().map_err(store)?;
    let whole = compress::pack(compression, default_workers(), &mut blob, |blocks| {
        let mut tar = TarStream { blocks, mtime };
        for (path, node) in tree {
            if cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            tar.append(path, node)?;
        }
        tar.finish()
    });
    let whole = whole.map_err(|error| match error {
        PackError::Produce(error) => error,
        PackError::Write(source) => store(plimsoll_oci::Error::io("write a layer to", layout.path(), source)),
    })?;
    let (digest, size) = blob.commit(None).map_err(store)?;
    Ok(Layer {
        descriptor: Descriptor::new(compression.media_type(), digest, size),
        diff_id: whole.digest,
        uncompressed_size: whole.size,
        entries: tree.len() as u64,
    })
}
