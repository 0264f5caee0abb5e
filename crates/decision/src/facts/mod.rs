//! Everything the guard knows, in one serialisable value.

use jiff::Timestamp;
use plimsoll_model::event::RolloutKind;
use plimsoll_model::{BuildMetadata, Commit, Digest, Lookup, Release, Repository, RepositoryType};
use serde::{Deserialize, Serialize};

mod evidence;
mod policy;
mod release;

pub use evidence::{
    AdvisorySeverity, EvidenceFacts, FindingFacts, Proof, ProvenanceFacts, RebuildFacts, RecordFacts,
    ScanFacts, Signed,
};
pub use policy::{
    AdvisoryPolicy, Coverage, Demand, Escalated, Ignored, InForce, Override, PolicyFacts, Sample, Softened,
    VerificationMode, VerificationPolicy,
};

pub use release::{
    ContractChanges, ContractFacts, MigrationsJobFacts, MigrationsProof, PendingMigration, SchemaFacts,
    VersionFacts, WayBackFacts,
};

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The environment's name.
    pub environment: String,
    /// The commit.
    pub sha: Commit,
    /// Deploy or rollback.
    pub rollout: RolloutKind,
}

/// What the configuration says of the environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentFacts {
    /// The one repository it may use (DIG-2).
    pub repository: Repository,
    /// Which of the two that is.
    pub repository_type: RepositoryType,
    /// The branch canonical images must come from.
    pub main_branch: String,
    /// Whether only clean builds are allowed (BLD-1).
    pub clean_build: bool,
}

/// The recorded build metadata and where it was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// The document.
    pub metadata: BuildMetadata,
    /// In words, e.g. `ledger entry 12` or `file build.json`.
    pub source: String,
}

/// What the registry holds under the tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFacts {
    /// Digest of the bytes, hashed here.
    pub digest: Digest,
    /// Media type as served.
    pub media_type: String,
    /// `os/architecture` of an image; empty for an index.
    pub platform: String,
    /// Whether it is an index of several images.
    pub index: bool,
}

/// How the commit asked for relates to the one that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Nothing runs yet.
    First,
    /// The same commit.
    Same,
    /// It comes after what runs.
    Newer,
    /// It comes before what runs.
    Older,
    /// Neither contains the other.
    Diverged,
}

/// All facts of one decision. Kept in the ledger with the verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// When they were gathered.
    pub at: Timestamp,
    /// What was asked for.
    pub request: Request,
    /// What the configuration says.
    pub environment: EnvironmentFacts,
    /// The build's own record.
    pub recorded: Lookup<Recorded>,
    /// What the full-SHA tag points to in the registry now.
    pub full_tag: Lookup<ManifestFacts>,
    /// Digest under the short tag now.
    pub short_tag: Lookup<Digest>,
    /// Whether the commit is on the main branch; asked only for canonical
    /// repositories. `Found(false)`: it is not.
    pub on_main_branch: Lookup<bool>,
    /// What runs in the environment, from the ledger.
    pub running: Option<Release>,
    /// How the commit relates to what runs.
    pub relation: Lookup<Relation>,
    /// Whether this image was deployed to this environment before, from the ledger.
    pub deployed_before: bool,
    /// Whether the target itself still holds the image by digest, so that going
    /// back needs no registry. Asked for rollbacks.
    pub on_target: Lookup<bool>,
    /// The proof that the image carries. None: the facts are older than that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub evidence: Option<EvidenceFacts>,
    /// That the signature of this very digest verified at an earlier decision
    /// for this environment, from the ledger.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verified_before: Option<VerifiedBefore>,
    /// That the watch took the commit back from this environment since it last
    /// served there, from the ledger.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub regressed: Option<Regressed>,
    /// What the release changes for the clients of its API. None: `[contract]`
    /// is not configured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub contract: Option<ContractFacts>,
    /// What it changes in the database. None: `[migrations]` is not configured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schema: Option<SchemaFacts>,
    /// Its version against what it changes. None: it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<VersionFacts>,
    /// What is demanded of the evidence. None: the facts are older than that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy: Option<PolicyFacts>,
}

/// An earlier decision at which the signature verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedBefore {
    /// The ledger's entry.
    pub entry: u64,
    /// What verified then.
    pub signed: Signed,
}

/// The watch took a commit back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regressed {
    /// The ledger's entry of that rollout's end.
    pub entry: u64,
    /// When.
    pub at: Timestamp,
    /// What was seen.
    pub reason: String,
}

impl Facts {
    /// The recorded digest, where there is a record.
    pub fn recorded_digest(&self) -> Option<Digest> {
        self.recorded.found().map(|recorded| recorded.metadata.image_digest)
    }

    /// A rollback whose image is on the target needs no registry: what the
    /// registry would have said is then worth a warning, not a failure (RBK-1).
    pub fn registry_is_dispensable(&self) -> bool {
        self.request.rollout == RolloutKind::Rollback && self.on_target == Lookup::Found(true)
    }
}
