//! IMAGE -> EVIDENCE: what an image is made of (SBM-1).
//!
//! A cataloger reads files of the image and reports [`Component`]s; a document
//! format writes them down. The same image gives the same bytes.

mod catalog;
mod component;
mod language;
mod limits;
mod purl;
mod view;

pub use catalog::Warning;
pub use component::{Component, Hash, Scope};
pub use limits::Limits;
pub use purl::Purl;
