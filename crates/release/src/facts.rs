//! Everything a version is computed from, in one serialisable value.
//!
//! Each piece of evidence is a [`Lookup`]: found (and it may say that nothing
//! changed), absent (the project has no such thing), invalid or unknown. Only
//! what was found is evidence; what is unknown is never "no change".

use plimsoll_model::{Commit, Lookup};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::commits::CommitFacts;

/// A release that was made: a version tag, and the commit it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// The version.
    pub version: Version,
    /// What says so: the tag, or `image 3f2a9c01b7d4, deployed to production`.
    pub name: String,
    /// The commit.
    pub commit: Commit,
    /// Whether it is a pre-release on the way from [`Facts::previous`] to this
    /// commit, so that what it announced is still to come.
    #[serde(default)]
    pub announces: bool,
}

/// A version that a file or a tag of the commit states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stated {
    /// Where: `Cargo.toml`, `tag v1.2.3`.
    pub place: String,
    /// What. Absent: the file states none, and need not.
    pub version: Lookup<Version>,
}

/// All facts of one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The commit to be released.
    pub commit: Commit,
    /// The release before it. Absent: this is the first one. Unknown: the
    /// history is cut off.
    pub previous: Lookup<Released>,
    /// Every version of this service that was ever tagged, in any order;
    /// tags of [`Facts::commit`] itself are not among them.
    pub released: Vec<Released>,
    /// What the manifests and tags of the commit state.
    pub stated: Vec<Stated>,
    /// What changed for the clients of the API.
    pub api: Lookup<ApiEvidence>,
    /// What changed for those who use the database.
    pub schema: Lookup<SchemaEvidence>,
    /// What changed in the dependencies.
    pub dependencies: Lookup<DependencyEvidence>,
    /// The commits since the previous release, newest first.
    pub commits: Lookup<Vec<CommitFacts>>,
    /// Whether others use the database beside this service, so that taking
    /// something away from it breaks them.
    #[serde(default = "yes")]
    pub shared_database: bool,
}

fn yes() -> bool {
    true
}

/// What a change means for the clients of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApiLevel {
    /// Only people notice.
    Editorial,
    /// Clients go on working and can do more.
    Additive,
    /// A client that was written before may fail.
    Breaking,
}

/// The comparison of the API's documents.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApiEvidence {
    /// The worst level that counts. None: the documents say the same.
    pub level: Option<ApiLevel>,
    /// The findings, worst first.
    pub changes: Vec<ApiChange>,
}

/// One finding of the comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiChange {
    /// The code of the rule, `API-107`.
    pub rule: String,
    /// Its name, `response-property-removed`.
    pub name: String,
    /// What it means.
    pub level: ApiLevel,
    /// `METHOD /path` of every operation that is affected.
    pub operations: Vec<String>,
    /// What changed in one sentence, as the comparison puts it.
    pub message: String,
    /// What changed at each place, without the component's name.
    #[serde(default)]
    pub details: Vec<String>,
    /// Where; a JSON pointer.
    pub location: String,
    /// Why the break was accepted, if it was: it does not count then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
}

/// What a migration does to a running system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepClass {
    /// Adds; released code does not notice.
    Expand,
    /// Changes rows that are there.
    Backfill,
    /// Takes away what older code may use.
    Contract,
    /// Stops readers or writers for long, or cannot be judged.
    Unsafe,
}

impl std::fmt::Display for StepClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Expand => "expand",
            Self::Backfill => "backfill",
            Self::Contract => "contract",
            Self::Unsafe => "unsafe",
        })
    }
}

/// The migrations that are new in this release.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SchemaEvidence {
    /// One for each file, in the order in which they run.
    pub steps: Vec<SchemaStep>,
    /// Tables and columns that are there on one side only.
    #[serde(default)]
    pub differences: Vec<SchemaDifference>,
}

/// A part of the schema that came or went.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SchemaDifference {
    /// What it is: `table refunds`, `column payouts.iban`.
    pub what: String,
    /// Whether it came, or went.
    pub added: bool,
}

/// One migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaStep {
    /// Its path in the repository.
    pub file: String,
    /// What it does.
    pub class: StepClass,
    /// What it takes away from code that is released, as rule and sentence.
    #[serde(default)]
    pub taken: Vec<Taken>,
    /// How many of its statements were not understood.
    #[serde(default)]
    pub not_understood: usize,
}

/// Something that released code may use and that is gone afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The code of the rule, `MIG-051`.
    pub rule: String,
    /// In words.
    pub message: String,
}

impl SchemaStep {
    /// Whether those who share the database may fail afterwards.
    pub fn breaks(&self) -> bool {
        self.class == StepClass::Contract || !self.taken.is_empty()
    }

    /// Whether it cannot be said what it does.
    pub fn unclear(&self) -> bool {
        self.not_understood > 0
    }
}

/// What happened to a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependencyChange {
    /// It is there now.
    Added,
    /// It is not there any more.
    Removed,
    /// A newer version took the place of an older one.
    Upgraded,
    /// An older version took the place of a newer one.
    Downgraded,
    /// Another version, and which one is newer cannot be said.
    Changed,
}

/// One dependency that is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Package URL without version.
    pub package: String,
    /// What happened.
    pub change: DependencyChange,
    /// Version before.
    pub from: Option<String>,
    /// Version after.
    pub to: Option<String>,
}

/// An advisory that affects one side only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advisory {
    /// Its id, `RUSTSEC-2026-0001`.
    pub id: String,
    /// Other names, such as the CVE.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The component with its version.
    pub package: String,
    /// `critical`, `high`, `medium`, `low`, `unknown`.
    pub severity: String,
    /// What it is, in one line.
    #[serde(default)]
    pub summary: String,
}

/// The comparison of the bills of materials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencyEvidence {
    /// Sorted by package.
    pub changes: Vec<Dependency>,
    /// Advisories that affected the previous release and not this one. Absent:
    /// no advisories are held here.
    #[serde(default = "absent")]
    pub vanished: Lookup<Vec<Advisory>>,
    /// Advisories that affect this release and not the previous one.
    #[serde(default = "absent")]
    pub appeared: Lookup<Vec<Advisory>>,
}

impl Default for DependencyEvidence {
    fn default() -> Self {
        Self { changes: Vec::new(), vanished: absent(), appeared: absent() }
    }
}

fn absent() -> Lookup<Vec<Advisory>> {
    Lookup::Absent
}
