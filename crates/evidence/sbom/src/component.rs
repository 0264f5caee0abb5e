//! One thing an image is made of.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// How a component got into the image, as far as that can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// It is installed in, or linked into, the image.
    Installed,
    /// A lock file names it; whether the image contains it cannot be seen.
    Declared,
}

/// A checksum that the ecosystem's own metadata states.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Hash {
    /// In CycloneDX's spelling: `SHA-256`, `SHA-512`, `SHA-1`, `MD5`.
    pub algorithm: &'static str,
    /// Lower-case hexadecimal digits.
    pub hex: String,
}

/// One package, with where it was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Component {
    /// Type of the package URL: `deb`, `apk`, `rpm`, `cargo`, `golang`, `pypi`,
    /// `npm`, `maven`, `gem`, `composer`, `nuget`, `generic`.
    pub kind: &'static str,
    /// Namespace of the package URL: `debian`, an npm scope, a Maven group.
    pub namespace: Option<String>,
    /// Name as the ecosystem writes it.
    pub name: String,
    /// Version as the ecosystem writes it; empty where it is not known.
    pub version: String,
    /// Qualifiers of the package URL: `arch`, `distro`, `epoch`, `upstream`.
    pub qualifiers: BTreeMap<String, String>,
    /// SPDX licence expression where the declared licence can be written as
    /// one; otherwise the text as declared.
    pub licence: Option<String>,
    /// Checksums of the package as its ecosystem distributes it.
    pub hashes: BTreeSet<Hash>,
    /// Paths in the image, absolute, without layers.
    pub locations: BTreeSet<String>,
    /// Package URLs, without qualifiers, of what it depends on; only those
    /// that are components themselves are written.
    pub depends_on: BTreeSet<String>,
    /// Installed or only declared.
    pub scope: Scope,
}
