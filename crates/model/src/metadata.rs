//! The build metadata document (BLD-7).

use serde::{Deserialize, Serialize};

use crate::{Commit, Digest, PinnedRef, Repository};

/// Which of the two repositories an image is published to (BLD-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepositoryType {
    /// Of the main branch; what production runs.
    Canonical,
    /// Of every other branch.
    Staging,
}

impl std::fmt::Display for RepositoryType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Canonical => "canonical",
            Self::Staging => "staging",
        })
    }
}

/// Whether the image carries a signature that verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureStatus {
    /// A trusted signature over this digest verified.
    Verified,
    /// None did; `signature_reason` says why.
    Unverified,
}

/// Result of comparing the digest before push with the one fetched after (DIG-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DigestVerification {
    /// The registry returned exactly the bytes that were pushed.
    Ok,
    /// It returned others.
    Mismatch,
    /// Nothing was pushed, so nothing was compared.
    Skipped,
}

/// What one build produced. Recorded in the ledger, printed by
/// `plimsoll build --output json`, loaded again at deploy (DIG-2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildMetadata {
    /// Always [`BuildMetadata::SCHEMA`].
    pub schema: String,
    /// `repository:<sha>@sha256:…`.
    pub image_ref: PinnedRef,
    /// The commit, also the tag.
    pub image_sha: Commit,
    /// The first twelve digits, also a tag.
    pub short_sha: String,
    /// Digest of the image manifest.
    pub image_digest: Digest,
    /// Where it is, or would be, pushed.
    pub repository: Repository,
    /// Canonical or staging.
    pub repository_type: RepositoryType,
    /// The branch the commit was built for; empty for a detached commit.
    pub branch: String,
    /// Always `linux/amd64` so far (BLD-4).
    pub arch: String,
    /// Whether a signature verified.
    pub signature_status: SignatureStatus,
    /// Why not; empty when verified.
    pub signature_reason: String,
    /// Reference of the SBOM attestation; empty when there is none.
    pub sbom_ref: String,
    /// Wall time of the build, push included, in seconds.
    pub build_duration_sec: f64,
    /// Digest computed locally before the push.
    pub pre_push_digest: Digest,
    /// Digest of the bytes fetched back after the push; absent when not pushed.
    pub post_push_digest: Option<Digest>,
    /// How the two compare.
    pub digest_verification: DigestVerification,
    /// Whether the image is in the registry because of this build or before it.
    pub pushed: bool,
    /// Whether the registry had both tags at this digest already.
    pub already_present: bool,
    /// Whether the build was clean (BLD-1): false for `--reuse-target`.
    pub clean: bool,
}

impl BuildMetadata {
    /// The `schema` value of this document.
    pub const SCHEMA: &str = "plimsoll/build/v1";
}
