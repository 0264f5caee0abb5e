//! IMAGE -> EVIDENCE: credentials that must not be baked into an image (BLD-6).
//!
//! Every file of every layer is read, whatever its size, also when a later
//! layer deletes it: it is still in the image. So are the texts of the image
//! configuration. Named rules ([`rules::RULES`], one file each) decide; how
//! random a value looks only ever takes findings away.
//!
//! Invariants: no value that was found leaves this crate, in no form but
//! [`Masked`]; what was not read is in the report with its reason; the same
//! image, rules and options give the same report; time is linear in the bytes
//! read and memory does not depend on them.

mod allow;
mod anchors;
mod cache;
mod checksum;
#[cfg(test)]
mod corpus;
mod directory;
mod error;
#[cfg(test)]
mod hostile;
mod image;
mod keyed;
mod mask;
mod nested;
mod origin;
mod pem;
mod placeholder;
mod published;
mod report;
pub mod rules;
mod scan;
mod sight;
#[cfg(test)]
mod testing;
mod url;

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::civil::Date;
use plimsoll_model::{Digest, Page};

pub use allow::{Allow, AllowState};
pub use directory::scan_directory;
pub use error::Error;
pub use image::scan_image;
pub use mask::Masked;
pub use report::{Allowed, Finding, LayerState, Level, Place, Report, SCHEMA, ScannedLayer, Unread, Verdict};

/// Names the rules: results of one ruleset are never taken for another's.
pub const RULESET: &str = env!("SECRETS_RULESET");

/// What to scan, and what to make of it.
#[derive(Debug, Clone)]
pub struct Options {
    /// How much one layer may unpack to. What is beyond is not read, and the
    /// report says so.
    pub limits: plimsoll_oci::Limits,
    /// Bytes that archives within one layer or file may unpack to.
    pub archive_bytes: u64,
    /// Layers that need no scan, such as those of a base image that was
    /// scanned when it was pinned.
    pub known_layers: BTreeSet<Digest>,
    /// Directory in which results of layers are kept, one file per layer and
    /// ruleset. Who can write there can hide a finding.
    pub cache: Option<PathBuf>,
    /// Findings that may stay.
    pub allow: Vec<Allow>,
    /// The day on which allow entries are judged.
    pub today: Date,
}

impl Options {
    /// Nothing is known, kept or allowed.
    pub fn new(today: Date) -> Self {
        Self {
            limits: plimsoll_oci::Limits::default(),
            archive_bytes: 8 << 30,
            known_layers: BTreeSet::new(),
            cache: None,
            allow: Vec::new(),
            today,
        }
    }
}

/// The pages of all rules and errors, for `plimsoll explain`.
pub fn pages() -> impl Iterator<Item = &'static Page> {
    rules::RULES.iter().map(|rule| rule.page).chain(&error::PAGES)
}
