//! EVIDENCE -> VERDICT: pure. Facts in, verdict out; no I/O, no clock, no async.
//!
//! [`decide`] is the only way to an [`Approved`], and a rollout needs one
//! (invariant 1). Facts are gathered before, kept whole beside the verdict in
//! the ledger, and give the same verdict for ever (invariant 3).

mod facts;
mod policy;

pub use facts::{
    AdvisoryPolicy, AdvisorySeverity, ContractChanges, ContractFacts, Coverage, Demand, EnvironmentFacts,
    Escalated, EvidenceFacts, Facts, FindingFacts, Ignored, InForce, ManifestFacts, MigrationsJobFacts,
    MigrationsProof, Override, PendingMigration, PolicyFacts, Proof, ProvenanceFacts, RebuildFacts,
    RecordFacts, Recorded, Regressed, Relation, Request, Sample, ScanFacts, SchemaFacts, Signed, Softened,
    VerificationMode, VerificationPolicy, VerifiedBefore, VersionFacts, WayBackFacts,
};
pub use policy::{PAGES, RULES, Rule};

use plimsoll_model::{Decision, PinnedRef, Release};

/// Proof that the guard allowed one release into one environment.
///
/// Its fields are private and it cannot be deserialised, so a rollout without
/// a decision does not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    environment: String,
    release: Release,
}

impl Approved {
    /// The environment it was approved for.
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// The release that was approved.
    pub fn release(&self) -> &Release {
        &self.release
    }
}

/// The guard's whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Every check with its evidence.
    pub decision: Decision,
    /// The approval, exactly when every check allows it.
    pub approved: Option<Approved>,
}

/// Applies the rules that are about an image by itself, with what somebody
/// answers for (POL-1): an admission's verdict. It is no approval of a rollout.
pub fn decide_image(facts: &Facts) -> Decision {
    let about = RULES.iter().filter(|rule| rule.is_about_image());
    let mut checks: Vec<_> = about.filter_map(|rule| rule.check(facts)).collect();
    policy::apply_overrides(facts, &mut checks);
    Decision::from_checks(checks)
}

/// Applies every rule to the facts (DEP-1).
pub fn decide(facts: &Facts) -> Verdict {
    let mut checks: Vec<_> = RULES.iter().filter_map(|rule| rule.check(facts)).collect();
    policy::apply_overrides(facts, &mut checks);
    let decision = Decision::from_checks(checks);
    // Allowed facts always have a record; the record's digest is what was compared.
    let approved = facts.recorded.found().filter(|_| decision.allowed).map(|recorded| Approved {
        environment: facts.request.environment.clone(),
        release: Release::new(PinnedRef::new(
            facts.environment.repository.clone(),
            facts.request.sha.clone(),
            recorded.metadata.image_digest,
        )),
    });
    Verdict { decision, approved }
}
