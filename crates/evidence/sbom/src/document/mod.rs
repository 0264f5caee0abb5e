//! The documents that a bill of materials is written as, and read from.
//!
//! Writing is reproducible: identifiers are derived from the content, times
//! come from the image, everything is sorted.

mod cyclonedx;
mod lenient;
mod read_cyclonedx;
mod read_spdx;
mod spdx;

use plimsoll_oci::digest_of;

use crate::{Bom, Error, Purl};
use std::collections::BTreeMap;

/// A format of SBOM documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// CycloneDX 1.6, JSON.
    CycloneDx,
    /// SPDX 2.3, JSON.
    Spdx,
}

impl Format {
    /// As the option `--format` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CycloneDx => "cyclonedx-json",
            Self::Spdx => "spdx-json",
        }
    }

    /// Predicate type of an in-toto statement that carries such a document
    /// (as cosign writes it for `cyclonedx` and `spdxjson`).
    pub const fn predicate_type(self) -> &'static str {
        match self {
            Self::CycloneDx => "https://cyclonedx.org/bom",
            Self::Spdx => "https://spdx.dev/Document",
        }
    }
}

impl std::str::FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::CycloneDx, Self::Spdx]
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| Error::malformed(format!("there is no format `{text}`")))
    }
}

impl Bom {
    /// The document: the same bytes for the same bill of materials. Compact
    /// JSON without a newline at its end.
    pub fn to_bytes(&self, format: Format) -> Vec<u8> {
        match format {
            Format::CycloneDx => cyclonedx::write(self),
            Format::Spdx => spdx::write(self),
        }
    }

    /// Reads a CycloneDX or SPDX 2 document in JSON, by whatever tool and of
    /// whatever version. What it says beyond a [`Bom`] is passed over, and an
    /// in-toto statement around it is looked through.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is neither; [`Error::TooLarge`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        lenient::read(bytes)
    }
}

/// What made the documents.
const TOOL: &str = "plimsoll";
const TOOL_VERSION: &str = env!("CARGO_PKG_VERSION");

/// A UUID of version 8 (RFC 9562) that only depends on the content.
fn uuid(content: &[u8]) -> String {
    let hex = digest_of(content).hex();
    // Version 8 and the variant of the RFC take the place of some digits.
    format!("{}-{}-8{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

/// Package URL of an image: its name is the last part of the repository.
fn image_purl(bom: &Bom) -> Option<String> {
    let digest = bom.subject.digest?.to_string();
    let repository = bom.subject.name.as_str();
    if repository == digest || repository.is_empty() {
        return None;
    }
    let name = repository.rsplit('/').next()?.to_lowercase();
    let qualifiers = BTreeMap::from([("repository_url".to_owned(), repository.to_lowercase())]);
    let purl = Purl {
        kind: "oci",
        namespace: None,
        name: &name,
        version: Some(&digest),
        qualifiers: repository.contains('/').then_some(&qualifiers),
    };
    Some(purl.to_string())
}

/// Whether a declared licence can stand where an expression must.
fn is_expression(licence: &str) -> bool {
    ::spdx::Expression::parse(licence).is_ok()
}

/// One line about each thing that was not read.
fn warnings(bom: &Bom) -> impl Iterator<Item = String> {
    bom.warnings.iter().map(|warning| format!("{}: {}", warning.path, warning.reason))
}

/// Names of properties and lines that only Plimsoll writes.
mod property {
    pub(super) const WARNING: &str = "plimsoll:warning";
    pub(super) const SCOPE: &str = "plimsoll:scope";
    pub(super) const DECLARED: &str = "declared";
    pub(super) const OWNER: &str = "plimsoll:owner";
    pub(super) const FOUND_BY: &str = "plimsoll:found-by";
    pub(super) const LOCK_FILE: &str = "plimsoll:lock-file";
    pub(super) const LIKE: &str = "plimsoll:distribution-like";
}
