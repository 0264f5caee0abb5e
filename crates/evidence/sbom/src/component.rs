//! One thing an image is made of.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::Purl;

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

impl Hash {
    /// The algorithms that are kept, in CycloneDX's spelling, with the number
    /// of hexadecimal digits of each.
    pub const ALGORITHMS: [(&'static str, usize); 5] =
        [("MD5", 32), ("SHA-1", 40), ("SHA-256", 64), ("SHA-384", 96), ("SHA-512", 128)];

    /// A checksum, if the algorithm is one of [`Hash::ALGORITHMS`] (however it
    /// is capitalised and hyphenated) and `hex` has as many digits as it must.
    pub fn new(algorithm: &str, hex: &str) -> Option<Self> {
        let plain = |text: &str| text.replace(['-', '_'], "").to_ascii_uppercase();
        let wanted = plain(algorithm);
        let (algorithm, digits) = Self::ALGORITHMS.into_iter().find(|(known, _)| plain(known) == wanted)?;
        let hex = hex.to_ascii_lowercase();
        (hex.len() == digits && hex.bytes().all(|b| b.is_ascii_hexdigit())).then_some(Self { algorithm, hex })
    }
}

/// One package, with where it was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Component {
    /// Type of the package URL: `deb`, `apk`, `rpm`, `cargo`, `golang`, `pypi`,
    /// `npm`, `maven`, `gem`, `composer`, `nuget`, `generic`; what other tools
    /// wrote may have others.
    pub kind: Cow<'static, str>,
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
    /// Lock files of the commit that name it. They are not in the image.
    pub lock_files: BTreeSet<String>,
    /// Package URLs, without qualifiers, of what it depends on; only those
    /// that are components themselves are written.
    pub depends_on: BTreeSet<String>,
    /// Package URL, without qualifiers, of the operating system package that
    /// owns every location of this component: a distribution maintains it, so
    /// it is patched without a new version of its own ecosystem. Found out
    /// after cataloging; a cataloger leaves it alone.
    pub owner: Option<String>,
    /// The catalogers that found it; filled by the report.
    pub found_by: BTreeSet<String>,
    /// Installed or only declared.
    pub scope: Scope,
}

impl Component {
    /// An installed component of which nothing but its name is known.
    pub fn new(
        kind: impl Into<Cow<'static, str>>,
        name: impl Into<String>,
        version: impl Into<String>,
    ) -> Self {
        Self {
            kind: kind.into(),
            namespace: None,
            name: name.into(),
            version: version.into(),
            qualifiers: BTreeMap::new(),
            licence: None,
            hashes: BTreeSet::new(),
            locations: BTreeSet::new(),
            lock_files: BTreeSet::new(),
            depends_on: BTreeSet::new(),
            owner: None,
            found_by: BTreeSet::new(),
            scope: Scope::Installed,
        }
    }

    /// The same in this namespace of the package URL.
    #[must_use]
    pub fn within(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into()).filter(|namespace| !namespace.is_empty());
        self
    }

    /// Its package URL, with qualifiers.
    pub fn purl(&self) -> Purl<'_> {
        Purl {
            kind: &self.kind,
            namespace: self.namespace.as_deref(),
            name: &self.name,
            version: Some(self.version.as_str()).filter(|version| !version.is_empty()),
            qualifiers: Some(&self.qualifiers),
        }
    }

    /// Its package URL without qualifiers, as [`Component::depends_on`] has it.
    pub fn base_purl(&self) -> String {
        Purl { qualifiers: None, ..self.purl() }.to_string()
    }
}
