//! Reading from and publishing to a registry, by digest.
//!
//! [`Reader`], [`Publisher`] and [`Attacher`] are different types: code that was
//! given a reader cannot write (invariant 2), and code that attaches evidence
//! cannot publish an image. All speak the distribution protocol
//! (OCI distribution-spec 1.1) to one repository; `docs/design/0002` says why
//! they do so themselves.
//!
//! A look-up returns a [`Lookup`](plimsoll_model::Lookup): absent only when a
//! registry said so in its protocol's words, invalid when bytes contradict
//! their digest, size or media type, unknown for everything else (invariant 4).
//! What changes something returns a `Result` with an [`Error`].

mod attach;
mod auth;
mod blob;
mod challenge;
mod credentials;
mod document;
mod error;
mod evidence;
mod fetch;
mod listing;
mod meter;
mod options;
mod pages;
mod publisher;
mod put;
mod reader;
mod retry;
mod source;
mod target;
mod upload;
mod wire;

pub use attach::{Artifact, Attached, Attacher, Blob, LegacyAttached, LegacyTag};
pub use credentials::{Credential, Sources};
pub use error::{At, Cause, Changed, Error};
pub use evidence::{Attachment, Evidence, Layer, Referrer, Wanted, may_be};
pub use listing::Via;
pub use options::{Options, Timeouts, Upload};
pub use pages::PAGES;
pub use publisher::{Publisher, Pushed};
pub use reader::{ManifestAt, Reader};
pub use retry::Policy;
