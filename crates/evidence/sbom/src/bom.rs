//! The bill of materials, whatever document it is written as.

use plimsoll_model::Digest;

use crate::os::Distribution;
use crate::{Component, Warning};

/// What an image is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bom {
    /// What the components are part of.
    pub subject: Subject,
    /// When it was made, RFC 3339 in UTC and whole seconds: a time of the
    /// image, not of the clock.
    pub created: Option<String>,
    /// The distribution that the image is made from.
    pub distribution: Option<Distribution>,
    /// The components, sorted by package URL, each one once.
    pub components: Vec<Component>,
    /// What could not be read; sorted.
    pub warnings: Vec<Warning>,
}

/// What a bill of materials is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// Its name: the repository of an image, a directory.
    pub name: String,
    /// Its version, e.g. the commit.
    pub version: Option<String>,
    /// Digest of the image's manifest.
    pub digest: Option<Digest>,
}

impl Bom {
    /// Whether everything could be read.
    pub fn is_complete(&self) -> bool {
        self.warnings.is_empty()
    }
}
