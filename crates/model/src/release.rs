//! What a rollout moves between.

use serde::{Deserialize, Serialize};

use crate::{Commit, Digest, PinnedRef};

/// One released image: what runs, pinned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Release {
    /// `repository:<sha>@sha256:<digest>`.
    pub image: PinnedRef,
}

impl Release {
    /// A release from its pinned reference.
    pub fn new(image: PinnedRef) -> Self {
        Self { image }
    }

    /// The commit it was built from.
    pub fn sha(&self) -> &Commit {
        self.image.sha()
    }

    /// The image manifest's digest.
    pub fn digest(&self) -> Digest {
        self.image.digest()
    }
}

/// How replicas are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// A few at a time, never more than `max_unavailable` missing.
    Rolling,
    /// All new ones beside the old, then the traffic, then the old ones go.
    BlueGreen,
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rolling => "rolling",
            Self::BlueGreen => "blue-green",
        })
    }
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.image.fmt(f)
    }
}
