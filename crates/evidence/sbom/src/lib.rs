//! IMAGE -> EVIDENCE: what an image is made of (SBM-1).
//!
//! A cataloger reads files of the image and reports [`Component`]s; a document
//! format writes them down. The same image gives the same bytes.
//!
//! ```no_run
//! use plimsoll_evidence_sbom::{Bom, Format, Options, Source, diff, generate};
//!
//! # fn f(old: &[u8]) -> Result<(), plimsoll_evidence_sbom::Error> {
//! let source = Source::open("image.tar".as_ref(), None)?;
//! let bom = generate(&source, &Options::default())?;
//! let document = bom.to_bytes(Format::CycloneDx);
//! for change in diff(&Bom::parse(old)?, &bom) {
//!     assert!(change.package.starts_with("pkg:"));
//! }
//! # Ok(()) }
//! ```
//!
//! What could not be read is a [`Warning`] in the SBOM, which then calls itself
//! incomplete; an image that is damaged is an [`Error`], never an empty SBOM.
//! Everything is bounded by [`Limits`]; large files are never in memory.

mod bom;
mod catalog;
mod component;
mod diff;
mod document;
mod error;
mod generate;
mod language;
mod limits;
mod merge;
mod os;
mod purl;
mod source;
mod version;
mod view;

pub use bom::{Bom, Subject};
pub use catalog::Warning;
pub use component::{Component, Hash, Scope};
pub use diff::{Change, Difference, diff};
pub use document::Format;
pub use error::{Error, PAGES};
pub use generate::{Options, generate};
pub use limits::Limits;
pub use os::Distribution;
pub use purl::{ParsedPurl, Purl};
pub use source::Source;
