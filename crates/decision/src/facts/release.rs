//! What a release changes for clients, for the database and in its version
//! (API-1, MIG-2, MIG-4, VER-1, RBK-2).

use plimsoll_model::{Commit, Lookup};
use serde::{Deserialize, Serialize};

use super::Signed;

/// The API of the release against that of what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractFacts {
    /// What runs; none: it is the first release.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Commit>,
    /// What changed since. Absent: one of the two has no document.
    pub changes: Lookup<ContractChanges>,
}

/// How many changes of each level there are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ContractChanges {
    /// Each break that counts, in words; at most [`ContractChanges::MOST`].
    pub breaking: Vec<String>,
    /// Breaks that were left out of `breaking`.
    pub more: u64,
    /// Breaks that were decided on and do not count.
    pub accepted: u64,
    /// Changes that clients can use.
    pub additive: u64,
    /// Changes that only people notice.
    pub editorial: u64,
}

impl ContractChanges {
    /// The most breaks that are kept in facts.
    pub const MOST: usize = 50;
}

/// The release's version against what it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionFacts {
    /// The version that the commit gives itself. Absent: none.
    pub proposed: Lookup<String>,
    /// The version that what runs gives itself, where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub released: Option<String>,
    /// The least version that says what changed. Absent: any says enough.
    pub least: Lookup<String>,
    /// Whether `proposed` is less than that.
    pub too_little: bool,
    /// Whether clients of the API break.
    pub breaks: bool,
    /// Why, the strongest reasons first.
    pub reasons: Vec<String>,
}

/// The database and the migrations of the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaFacts {
    /// Which database was asked, without its password. Absent: none is
    /// configured, and what ran is taken from the releases that ran.
    pub database: Lookup<String>,
    /// Migrations of the release that have not run, in their order; at most
    /// [`SchemaFacts::MOST`]. Of a rollback: none, it runs none.
    pub pending: Vec<PendingMigration>,
    /// What ran and is not what the release has: edited afterwards.
    pub edited: Vec<String>,
    /// What keeps migrations from being run, in words.
    pub troubles: Vec<String>,
    /// What the schema lacks for this release once everything that may run now
    /// has run. Found and empty: it serves it. Absent: nobody recorded what the
    /// release needs.
    pub serves: Lookup<Vec<String>>,
    /// Releases that ran here, newest first, and whether the schema serves them.
    pub ways_back: Vec<WayBackFacts>,
    /// How many releases before the one that runs must stay reachable.
    pub window: u32,
    /// The Job of the cluster that runs them, where one does; then nobody asks
    /// the database.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub job: Option<MigrationsJobFacts>,
}

/// A Job that runs the migrations of an environment with the release's image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationsJobFacts {
    /// Whether it runs no others than it is told, by its configuration.
    pub only_listed: bool,
}

impl SchemaFacts {
    /// The most migrations that are kept in facts.
    pub const MOST: usize = 10_000;

    /// Whether what has to wait runs all the same: a Job runs whatever the image
    /// has.
    pub fn runs_all(&self) -> bool {
        self.job.is_some_and(|job| !job.only_listed)
    }

    /// Migrations that would run now.
    pub fn running(&self) -> impl Iterator<Item = &PendingMigration> {
        let all = self.runs_all();
        self.pending.iter().filter(move |file| all || file.held.is_none())
    }

    /// Migrations that would not run yet.
    pub fn waiting(&self) -> impl Iterator<Item = &PendingMigration> {
        let all = self.runs_all();
        self.pending.iter().filter(move |file| !all && file.held.is_some())
    }
}

/// A migration that has not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingMigration {
    /// Its path within the folder of the migrations.
    pub path: String,
    /// `expand`, `backfill`, `contract`, `unsafe`.
    pub class: String,
    /// Why it has to wait, if it has to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<String>,
    /// Findings that refuse it: `CODE line: message`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub errors: Vec<String>,
}

/// A release that ran here, and what the schema lacks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayBackFacts {
    /// The release.
    pub sha: Commit,
    /// What the schema of now lacks. Absent: nobody recorded what it needs.
    pub now: Lookup<Vec<String>>,
    /// What it lacks once the pending migrations have run.
    pub after: Lookup<Vec<String>>,
}

/// The migrations that were attested about the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationsProof {
    /// Who signed.
    pub signed: Signed,
    /// Files of the commit that are not as attested, in words. Of a rollback,
    /// and where the commit is not here: none, nothing is run.
    pub differing: Vec<String>,
}
