//! COMMIT -> IMAGE.
//!
//! ```text
//! Source ──▶ Checkout ──▶ command ──┬─▶ assemble    files + base  ─┐
//!   git      exactly the  sh -c     ├─▶ import      layout, tar   ─┼─▶ BuiltImage, in the local store,
//!            commit's tree          └─▶ dockerfile  engine, buildah┘   tagged with the commit
//! ```
//!
//! [`build()`] is the whole way. [`source`] reads the repository, [`command`]
//! runs the build command, [`layer`] writes reproducible layers, [`assemble`]
//! makes an image of them, [`import`] and [`dockerfile`] take images that
//! others make, [`mod@rebuild`] builds again and compares.
//!
//! Invariants: the working directory is never read, only commits; nothing of
//! the repository is written; the network is not used (a base image is in the
//! local store before); an image that cannot be linux/amd64 is refused (BLD-4);
//! a [`BuiltImage`] exists only for what is completely in the store.

pub mod assemble;
mod build;
pub mod command;
pub mod dockerfile;
mod error;
pub mod import;
pub mod layer;
mod pages;
mod progress;
pub mod rebuild;
pub mod source;

pub use assemble::{BaseImage, ImageSpec};
pub use build::{BuildRequest, Builder, BuiltImage, Recipe, build};
pub use command::{BuildCommand, Paths, enter};
pub use dockerfile::DockerfileSpec;
pub use error::Error;
pub use import::LayoutSpec;
pub use layer::Layer;
pub use layer::compress::{Compression, Compressor};
pub use layer::select::{FileCopy, parse_mode};
pub use pages::PAGES;
pub use rebuild::{Difference, compare, rebuild};
pub use source::{Ancestry, Checkout, CommitInfo, FileTimes, Logged, ShortSha, Source, Tag};
pub use tokio_util::sync::CancellationToken;
