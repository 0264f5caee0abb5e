//! IMAGE -> EVIDENCE: which published advisories affect which components (SBM-3).
//!
//! ```text
//! OSV JSON, all.zip, RustSec ──▶ source ──▶ index ─┐
//!                                                  ├─▶ scan ──▶ Report ──▶ ignores, VEX ──▶ worst()
//! package URLs ───────────────▶ ecosystem ─────────┘               └─────▶ Document, VulnPredicate
//! ```
//!
//! [`Database`] is sources and index; [`Database::scan`] compares package URLs
//! with it. [`version`] orders versions by each ecosystem's own rules. The
//! index and its form on disk are described in `index/mod.rs`.
//!
//! Invariants: nothing is fetched, no clock is read; this crate knows package
//! URLs as texts and nothing of images. What cannot be looked up or compared is
//! [`Uncovered`], never clean. Everything read is bounded by [`Limits`]. A
//! broken advisory is a [`Warning`] in the report; a database that is broken as
//! a whole is an [`Error`]. The same advisories and components give the same
//! report.

mod advisory;
mod attestation;
mod database;
mod ecosystem;
mod error;
mod ignore;
mod index;
mod pages;
mod policy;
mod purl;
mod report;
mod scan;
mod severity;
mod source;
#[cfg(any(test, feature = "synthetic"))]
#[doc(hidden)]
pub mod synthetic;
pub mod version;
pub mod vex;

pub use attestation::{ScanRun, VULN_PREDICATE_TYPE, VulnPredicate};
pub use database::{Database, Origin};
pub use error::Error;
pub use ignore::Ignore;
pub use pages::PAGES;
pub use policy::{Worst, worst};
pub use purl::{NotAPurl, Purl};
pub use report::{
    DatabaseInfo, Document, Finding, Gap, IdleIgnore, IdleState, Report, SuppressedBy, Suppression, Uncovered,
};
pub use severity::Severity;
pub use source::{Limits, Warning};
