//! Where a rollout gets images from, without knowing registries.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;

use plimsoll_model::{Class, Diagnose, PinnedRef};

use crate::{Descriptor, Layout};

/// What a failure in a source was caused by.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// The future that [`ImageSource::fetch`] gives.
pub type Fetch<'a> = Pin<Box<dyn Future<Output = Result<Descriptor, SourceError>> + Send + 'a>>;

/// Brings images into a layout: a registry, another layout, a test.
pub trait ImageSource: Send + Sync {
    /// Brings manifest, configuration and layers of exactly the digest of
    /// `image` into `into`, and returns the manifest's descriptor. What is
    /// already there is not brought again.
    fn fetch<'a>(&'a self, image: &'a PinnedRef, into: &'a Layout) -> Fetch<'a>;
}

/// Why an image could not be brought.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The source was reached and does not have the image.
    #[error("image {image} does not exist where it should be")]
    Absent {
        /// Which image.
        image: PinnedRef,
    },
    /// What was received, or is stored, is not what the digest names.
    #[error("image {image} is not what its digest says")]
    Integrity {
        /// Which image.
        image: PinnedRef,
        /// What was found wrong.
        source: Cause,
    },
    /// The source could not be reached, refused, or answered nonsense: there
    /// is no saying whether it has the image.
    #[error("image {image} could not be fetched")]
    Unreachable {
        /// Which image.
        image: PinnedRef,
        /// What failed.
        source: Cause,
    },
    /// The layout that should receive it failed.
    #[error("image {image} could not be stored")]
    Store {
        /// Which image.
        image: PinnedRef,
        /// What failed.
        source: Box<crate::Error>,
    },
}

impl Diagnose for SourceError {
    fn class(&self) -> Class {
        match self {
            Self::Absent { .. } | Self::Integrity { .. } => Class::Integrity,
            Self::Unreachable { .. } => Class::Outside,
            Self::Store { source, .. } => source.class(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Absent { .. } => "OCI-040",
            Self::Integrity { .. } => "OCI-041",
            Self::Unreachable { .. } => "OCI-042",
            Self::Store { source, .. } => source.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Absent { .. } => {
                Some("nothing was changed; push the image again with `plimsoll push SHA`".into())
            }
            Self::Integrity { .. } => Some("nothing was changed; the bytes were discarded".into()),
            Self::Unreachable { .. } => Some("nothing was changed; try again once it can be reached".into()),
            Self::Store { source, .. } => source.hint(),
        }
    }
}
