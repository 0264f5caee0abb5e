//! IMAGE -> EVIDENCE: what an image is made of (SBM-1).
//!
//! A cataloger reads files of the image and reports [`Component`]s; a document
//! format writes them down. The same image gives the same bytes.

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
