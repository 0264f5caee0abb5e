//! The image formats: descriptors, manifests, configurations, layers, archives,
//! and the image layout directory as a content-addressed store.
//!
//! Sources: OCI image-spec 1.1, Docker "Image Manifest Version 2, Schema 2".
//!
//! Invariants: this crate builds nothing and knows no network; all of it is
//! synchronous (asynchronous callers go through a blocking thread); everything
//! read is bounded by [`limits`] and verified by digest while it streams;
//! nothing is written outside the directory that was named.

pub mod archive;
pub mod config;
pub mod descriptor;
pub mod digest;
mod error;
pub mod kind;
mod layer;
pub mod layout;
pub mod limits;
pub mod manifest;
pub mod media_type;
mod pages;
mod scratch;
mod serde_forms;
pub mod source;
mod tarball;
#[cfg(test)]
mod testing;
pub mod unpack;

pub use archive::{ImportOptions, copy_image, export_oci_archive, import};
pub use config::{ContainerConfig, History, ImageConfig, RootFs};
pub use descriptor::{Descriptor, Platform};
pub use digest::{Hasher, HashingReader, HashingWriter, VerifyingReader, digest_of};
pub use error::{Error, Result};
pub use kind::{ManifestKind, require_linux_amd64};
pub use layer::{LayerReader, Limits};
pub use layout::{BlobWriter, Layout};
pub use manifest::{Index, Manifest};
pub use pages::PAGES;
pub use source::{ImageSource, SourceError};
pub use tarball::{Entry, EntryKind};
pub use unpack::{Options as UnpackOptions, Unpacked, unpack_image};
