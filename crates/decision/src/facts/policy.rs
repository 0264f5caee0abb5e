//! What the configuration and the ledger demand of the evidence (POL-1, SIG-4).
//! It is part of the facts, so that the verdict needs nothing else.

use jiff::Timestamp;
use jiff::civil::Date;
use plimsoll_model::Commit;
use serde::{Deserialize, Serialize};

use super::AdvisorySeverity;

/// What the absence of something means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// Nothing.
    Off,
    /// It is said, and the deployment goes on.
    Warn,
    /// The deployment is refused.
    Require,
}

/// `[verification] mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerificationMode {
    /// An unverified signature is said, and the deployment goes on (SIG-3).
    Soft,
    /// It is refused.
    Mandatory,
    /// Soft until coverage passes the threshold, then mandatory (SIG-4).
    Auto,
}

/// One release that counts for the coverage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The commit.
    pub sha: Commit,
    /// Whether its signature verified when it was last let in.
    pub signed: bool,
}

/// That verification became mandatory, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalated {
    /// The ledger's entry.
    pub entry: u64,
    /// When.
    pub at: Timestamp,
}

/// That somebody took the escalation back, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Softened {
    /// The ledger's entry.
    pub entry: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Until when; then the escalation holds again.
    pub until: Timestamp,
}

/// How many of an environment's releases are signed (SIG-4).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Coverage {
    /// How many releases are looked back at, at most.
    pub window: u32,
    /// The releases deployed last, newest first, each once.
    pub samples: Vec<Sample>,
    /// The ratchet, once it has clicked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub escalated: Option<Escalated>,
    /// The newest way back to soft, where there is one after the ratchet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub softened: Option<Softened>,
}

impl Coverage {
    /// Signed releases among the samples.
    pub fn signed(&self) -> usize {
        self.samples.iter().filter(|sample| sample.signed).count()
    }

    /// The signed share, 0 to 1; 0 without samples.
    pub fn share(&self) -> f64 {
        if self.samples.is_empty() { 0.0 } else { self.signed() as f64 / self.samples.len() as f64 }
    }
}

/// What a signature must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerificationPolicy {
    /// As configured.
    pub mode: VerificationMode,
    /// The share above which `auto` becomes mandatory.
    pub threshold: f64,
    /// How many samples there must be first.
    pub min_samples: u32,
    /// What the ledger says of the environment.
    pub coverage: Coverage,
}

/// Whether verification is mandatory now, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InForce {
    /// Soft, by configuration.
    Soft,
    /// Soft still: coverage is not there yet.
    NotYet,
    /// Soft again, because somebody said so.
    Softened(Softened),
    /// Mandatory, by configuration.
    Mandatory,
    /// Mandatory since that entry.
    Escalated(Escalated),
    /// Mandatory from now on: coverage has just passed the threshold.
    Escalating,
}

impl InForce {
    /// Whether an unverified signature is refused.
    pub fn is_mandatory(&self) -> bool {
        matches!(self, Self::Mandatory | Self::Escalated(_) | Self::Escalating)
    }
}

impl VerificationPolicy {
    /// Whether coverage is above the threshold over enough samples.
    pub fn coverage_suffices(&self) -> bool {
        self.coverage.samples.len() >= self.min_samples as usize && self.coverage.share() > self.threshold
    }

    /// What is in force at `at`.
    pub fn in_force(&self, at: Timestamp) -> InForce {
        match self.mode {
            VerificationMode::Soft => return InForce::Soft,
            VerificationMode::Mandatory => return InForce::Mandatory,
            VerificationMode::Auto => {}
        }
        if let Some(softened) = self.coverage.softened.as_ref().filter(|softened| at < softened.until) {
            return InForce::Softened(softened.clone());
        }
        match &self.coverage.escalated {
            Some(escalated) => InForce::Escalated(escalated.clone()),
            None if self.coverage_suffices() => InForce::Escalating,
            None => InForce::NotYet,
        }
    }
}

/// An advisory that does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// Its id or an alias.
    pub id: String,
    /// Why.
    pub reason: String,
    /// The last day on which it does not count.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Date>,
}

/// What may be known against an image's components (SBM-3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvisoryPolicy {
    /// The least severity that refuses; none: no advisory does.
    pub fail_on: Option<AdvisorySeverity>,
    /// Whether only advisories with a fix refuse; the others are said.
    pub fixable_only: bool,
    /// Advisories that do not count.
    pub ignore: Vec<Ignored>,
    /// What it means that nothing was scanned.
    pub scan: Demand,
    /// What it means that no advisory source covers a component.
    pub uncovered: Demand,
    /// How old the advisories may be, in seconds; none: any age.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_age_sec: Option<u64>,
}

/// Somebody answers for letting a check pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The check.
    pub code: String,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When it was given.
    pub at: Timestamp,
    /// Until when it counts.
    pub until: Timestamp,
    /// The ledger's entry; none while it is not written (`--dry-run`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entry: Option<u64>,
}

/// The whole policy about evidence, as it was when the facts were gathered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyFacts {
    /// Of the signature.
    pub verification: VerificationPolicy,
    /// That an SBOM is attested.
    pub sbom: Demand,
    /// That provenance is attested.
    pub provenance: Demand,
    /// The builders whose provenance counts; empty: any.
    pub builders: Vec<String>,
    /// That the build's record is attested.
    pub record: Demand,
    /// That a rebuild is attested.
    pub rebuild: Demand,
    /// That the API's snapshot is attested.
    #[serde(default = "off")]
    pub contract: Demand,
    /// That the migrations are attested.
    #[serde(default = "off")]
    pub migrations: Demand,
    /// That clients of the API do not break.
    #[serde(default = "off")]
    pub api_break: Demand,
    /// That the version says what changed. None: where clients break.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<Demand>,
    /// Of advisories.
    pub advisories: AdvisoryPolicy,
    /// What somebody answers for, for this commit in this environment.
    pub overrides: Vec<Override>,
}

/// What facts demand that are older than a demand.
fn off() -> Demand {
    Demand::Off
}
