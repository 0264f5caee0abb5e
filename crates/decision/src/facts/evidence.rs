//! What the guard knows of the proof that an image carries (SIG-*, SBM-*, BLD-2).

use jiff::Timestamp;
use plimsoll_model::{Commit, Digest};
use serde::{Deserialize, Serialize};

use super::MigrationsProof;

/// What is known of one kind of proof. The five answers never blur: an error
/// is never "missing", and a signature by a stranger is not a broken one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", content = "value", rename_all = "snake_case")]
pub enum Proof<T> {
    /// It is there, it verified, and who signed it is trusted for it.
    Verified(T),
    /// The registry said that there is none.
    #[default]
    Missing,
    /// It verified, by somebody who is not trusted for it; who.
    Untrusted(String),
    /// It is there and does not verify; why.
    Invalid(String),
    /// Nothing can be said: not reachable, not readable; why.
    Unknown(String),
}

impl<T> Proof<T> {
    /// What verified, where something did.
    pub fn verified(&self) -> Option<&T> {
        match self {
            Self::Verified(value) => Some(value),
            _ => None,
        }
    }

    /// In words; a verified one as `shown` says.
    pub fn describe(&self, shown: impl FnOnce(&T) -> String) -> String {
        match self {
            Self::Verified(value) => shown(value),
            Self::Missing => "none".into(),
            Self::Untrusted(who) => who.clone(),
            Self::Invalid(why) => format!("invalid: {why}"),
            Self::Unknown(why) => format!("unknown: {why}"),
        }
    }
}

/// A statement about the image that verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Who: a key's fingerprint, or the subject of a certificate and its issuer.
    pub by: String,
    /// When, where a log or a timestamp authority proves it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<Timestamp>,
    /// Where it is: digest of the referrer, or the tag of the older scheme.
    pub reference: String,
}

/// Provenance that verified (SLSA v1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenanceFacts {
    /// Who signed it.
    pub signed: Signed,
    /// `runDetails.builder.id`.
    pub builder: String,
    /// The commit it says the image was built from, where it says one.
    pub commit: Option<Commit>,
    /// Whether it says that the build was clean, where it says so.
    pub clean: Option<bool>,
}

/// A rebuild that somebody did and signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildFacts {
    /// Who signed it.
    pub signed: Signed,
    /// The digest the rebuild came to.
    pub digest: Digest,
}

/// The build's own record as attached to the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordFacts {
    /// Who signed it.
    pub signed: Signed,
    /// The commit it is about.
    pub image_sha: Commit,
    /// The digest it names.
    pub image_digest: Digest,
    /// Whether the build was clean.
    pub clean: bool,
}

/// How severe an advisory is, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdvisorySeverity {
    /// The advisory states none that is understood.
    Unknown,
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
    /// `critical`
    Critical,
}

impl std::fmt::Display for AdvisorySeverity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// One advisory that affects one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingFacts {
    /// Id of the advisory.
    pub id: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// The component's package URL.
    pub purl: String,
    /// How severe.
    pub severity: AdvisorySeverity,
    /// The version that has the fix, where one is known.
    pub fixed_in: Option<String>,
    /// Why it does not count, where a VEX statement says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub suppressed: Option<String>,
}

/// The image's components against advisories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanFacts {
    /// In words: `advisories of this machine` or `attested by …`.
    pub source: String,
    /// Most severe first; at most [`ScanFacts::MOST_FINDINGS`].
    pub findings: Vec<FindingFacts>,
    /// Findings that were left out of `findings`.
    pub more: u64,
    /// Components that were looked up.
    pub components: u64,
    /// Components that no advisory source covers.
    pub uncovered: u64,
    /// How old the newest advisory of the database was when it was asked, in seconds.
    pub database_age_sec: u64,
}

impl ScanFacts {
    /// The most findings that are kept in facts.
    pub const MOST_FINDINGS: usize = 500;
}

/// Everything that was found attached to the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceFacts {
    /// The image whose evidence was looked at.
    pub digest: Digest,
    /// The image's signature.
    pub signature: Proof<Signed>,
    /// Its software bill of materials.
    pub sbom: Proof<Signed>,
    /// How it was built.
    pub provenance: Proof<ProvenanceFacts>,
    /// The build's record.
    pub record: Proof<RecordFacts>,
    /// That somebody built it again and came to the same bytes.
    pub rebuild: Proof<RebuildFacts>,
    /// What is known against its components.
    pub scan: Proof<ScanFacts>,
    /// The snapshot of its API. Missing: or the facts are older than that.
    #[serde(default)]
    pub contract: Proof<Signed>,
    /// The migrations of the release. Missing: or the facts are older than that.
    #[serde(default)]
    pub migrations: Proof<MigrationsProof>,
    /// Evidence attached to this image that is about another one, in words.
    pub foreign: Vec<String>,
}

impl EvidenceFacts {
    /// The most foreign evidence that is listed.
    pub const MOST_FOREIGN: usize = 20;

    /// Nothing could be looked at; why.
    pub fn unknown(digest: Digest, why: &str) -> Self {
        Self {
            digest,
            signature: Proof::Unknown(why.into()),
            sbom: Proof::Unknown(why.into()),
            provenance: Proof::Unknown(why.into()),
            record: Proof::Unknown(why.into()),
            rebuild: Proof::Unknown(why.into()),
            scan: Proof::Unknown(why.into()),
            contract: Proof::Unknown(why.into()),
            migrations: Proof::Unknown(why.into()),
            foreign: Vec::new(),
        }
    }

    /// Why the signature does not count, in the interface's words: empty when
    /// it verified, `missing`, `key_not_found`, `invalid: …`, `unknown: …`.
    pub fn signature_reason(&self) -> String {
        match &self.signature {
            Proof::Verified(_) => String::new(),
            Proof::Missing => "missing".into(),
            Proof::Untrusted(_) => "key_not_found".into(),
            Proof::Invalid(why) => format!("invalid: {why}"),
            Proof::Unknown(why) => format!("unknown: {why}"),
        }
    }
}
