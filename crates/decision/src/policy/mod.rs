//! The guard's rules: one rule, one file, with its page and its tests.

use plimsoll_model::finding::Severity;
use plimsoll_model::{Check, Outcome, Page};

use crate::{Demand, Facts, Proof};

mod advisories;
mod advisory_coverage;
mod api_compatible;
mod architecture;
mod branch_ancestry;
mod build_recorded;
mod clean_build;
mod contract_attested;
mod contract_waits;
mod deployed_before;
mod digest_unchanged;
mod evidence_subject;
mod full_tag_exists;
mod migrations_attested;
mod migrations_intact;
mod migrations_safe;
mod no_silent_rollback;
mod not_regressed;
mod overrides;
mod provenance;
mod push_verified;
mod rebuild_attested;
mod record_attested;
mod record_consistent;
mod repository_allowed;
mod sbom_attested;
mod schema_serves;
mod short_tag_parity;
mod signature;
mod signature_coverage;
mod version_enough;
mod ways_back;

pub(crate) use overrides::apply as apply_overrides;

/// One rule of the guard.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its page for `plimsoll explain`; holds code and name.
    pub page: &'static Page,
    judge: fn(&Facts) -> Option<Judgement>,
}

/// Every rule, in the order in which checks are shown.
pub const RULES: &[Rule] = &[
    build_recorded::RULE,
    record_consistent::RULE,
    push_verified::RULE,
    repository_allowed::RULE,
    full_tag_exists::RULE,
    short_tag_parity::RULE,
    digest_unchanged::RULE,
    architecture::RULE,
    branch_ancestry::RULE,
    clean_build::RULE,
    no_silent_rollback::RULE,
    not_regressed::RULE,
    deployed_before::RULE,
    signature::RULE,
    signature_coverage::RULE,
    evidence_subject::RULE,
    record_attested::RULE,
    provenance::RULE,
    rebuild_attested::RULE,
    sbom_attested::RULE,
    advisories::RULE,
    advisory_coverage::RULE,
    contract_attested::RULE,
    api_compatible::RULE,
    version_enough::RULE,
    migrations_attested::RULE,
    migrations_intact::RULE,
    migrations_safe::RULE,
    schema_serves::RULE,
    contract_waits::RULE,
    ways_back::RULE,
];

/// The page of every rule.
pub const PAGES: &[Page] = &[
    build_recorded::PAGE,
    record_consistent::PAGE,
    push_verified::PAGE,
    repository_allowed::PAGE,
    full_tag_exists::PAGE,
    short_tag_parity::PAGE,
    digest_unchanged::PAGE,
    architecture::PAGE,
    branch_ancestry::PAGE,
    clean_build::PAGE,
    no_silent_rollback::PAGE,
    not_regressed::PAGE,
    deployed_before::PAGE,
    signature::PAGE,
    signature_coverage::PAGE,
    evidence_subject::PAGE,
    record_attested::PAGE,
    provenance::PAGE,
    rebuild_attested::PAGE,
    sbom_attested::PAGE,
    advisories::PAGE,
    advisory_coverage::PAGE,
    contract_attested::PAGE,
    api_compatible::PAGE,
    version_enough::PAGE,
    migrations_attested::PAGE,
    migrations_intact::PAGE,
    migrations_safe::PAGE,
    schema_serves::PAGE,
    contract_waits::PAGE,
    ways_back::PAGE,
    overrides::PAGE,
];

/// The rules that speak about an image, wherever it is to run: a verification
/// and an admission apply these, a deployment applies all.
const ABOUT_IMAGES: [&str; 18] = [
    "GRD-001", "GRD-002", "GRD-003", "GRD-004", "TAG-001", "TAG-002", "DIG-002", "GRD-005", "GRD-007",
    "SIG-001", "SIG-002", "SIG-003", "GRD-008", "PRV-001", "PRV-002", "SBM-001", "SBM-002", "SBM-003",
];

impl Rule {
    /// Whether it speaks about an image by itself, not about the step from what
    /// runs to what is to run.
    pub fn is_about_image(&self) -> bool {
        ABOUT_IMAGES.contains(&self.page.code)
    }

    /// The check, or nothing where the rule does not apply to these facts.
    pub fn check(&self, facts: &Facts) -> Option<Check> {
        let judgement = (self.judge)(facts)?;
        Some(Check {
            code: self.page.code.into(),
            name: self.page.name.into(),
            outcome: judgement.outcome,
            expected: judgement.expected,
            found: judgement.found,
            hint: judgement.hint,
            severity: judgement.severity,
        })
    }
}

/// What one rule found.
struct Judgement {
    outcome: Outcome,
    severity: Option<Severity>,
    expected: String,
    found: String,
    hint: String,
}

/// Expected and found, about to be judged.
fn compare(expected: impl Into<String>, found: impl Into<String>) -> Comparison {
    Comparison { expected: expected.into(), found: found.into() }
}

struct Comparison {
    expected: String,
    found: String,
}

impl Comparison {
    fn pass(self) -> Option<Judgement> {
        self.judged(Outcome::Pass, None, String::new())
    }

    fn warn(self, hint: impl Into<String>) -> Option<Judgement> {
        self.judged(Outcome::Warn, None, hint.into())
    }

    fn refuse(self, hint: impl Into<String>) -> Option<Judgement> {
        self.judged(Outcome::Fail, Some(Severity::Refused), hint.into())
    }

    fn violation(self, hint: impl Into<String>) -> Option<Judgement> {
        self.judged(Outcome::Fail, Some(Severity::Integrity), hint.into())
    }

    fn unknown(self, hint: impl Into<String>) -> Option<Judgement> {
        self.judged(Outcome::Fail, Some(Severity::Unknown), hint.into())
    }

    fn judged(self, outcome: Outcome, severity: Option<Severity>, hint: String) -> Option<Judgement> {
        Some(Judgement { outcome, severity, expected: self.expected, found: self.found, hint })
    }
}

/// What the policy demands of one kind of proof, against what there is.
fn demanded<T>(
    facts: &Facts,
    demand: Demand,
    proof: &Proof<T>,
    what: &str,
    shown: impl FnOnce(&T) -> String,
) -> Option<Judgement> {
    let compared = compare(what, proof.describe(shown));
    let unsigned = || matches!(facts.evidence.as_ref().map(|e| &e.signature), Some(Proof::Missing));
    match (proof, demand) {
        (Proof::Verified(_), _) => compared.pass(),
        (_, Demand::Off) => None,
        (Proof::Unknown(_), _) if facts.registry_is_dispensable() => {
            compared.warn("the registry could not be asked; going back does not wait for it")
        }
        (Proof::Unknown(_), _) => {
            compared.unknown("nothing was touched; check the registry and the trust root with `plimsoll doctor`")
        }
        // An image with no evidence at all is said to be unsigned, once.
        (Proof::Missing, Demand::Warn) if unsigned() => None,
        (_, Demand::Warn) => {
            compared.warn(format!("the deployment goes on; `plimsoll verify {}` shows each step", facts.request.sha))
        }
        (_, Demand::Require) => compared.refuse(format!(
            "nothing was touched; `plimsoll verify {}` shows what is attached, `plimsoll attest` attaches more",
            facts.request.sha
        )),
    }
}

/// The first few of many things, and how many more there are.
fn first_few(all: &[String]) -> String {
    const MOST: usize = 3;
    let mut text = all.iter().take(MOST).cloned().collect::<Vec<_>>().join("; ");
    if all.len() > MOST {
        text.push_str(&format!("; and {} more", all.len() - MOST));
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;
    use plimsoll_model::event::RolloutKind;
    use plimsoll_model::{
        BuildMetadata, Class, Digest, DigestVerification, Lookup, PinnedRef, RepositoryType, SignatureStatus,
    };

    use super::*;
    use crate::{
        AdvisoryPolicy, AdvisorySeverity, Coverage, EnvironmentFacts, EvidenceFacts, ManifestFacts,
        PendingMigration, PolicyFacts, ProvenanceFacts, RecordFacts, Recorded, Relation, Request, ScanFacts,
        SchemaFacts, Signed, VerificationMode, VerificationPolicy, WayBackFacts, decide, decide_image,
    };

    pub(crate) const SHA: &str = "0123456789abcdef0123456789abcdef01234567";
    pub(crate) const DIGEST: Digest = Digest::from_sha256([7; 32]);
    pub(crate) const OTHER: Digest = Digest::from_sha256([8; 32]);

    /// Facts of a deployment that every rule allows.
    pub(crate) fn good() -> Facts {
        let sha: plimsoll_model::Commit = SHA.parse().unwrap();
        let repository: plimsoll_model::Repository = "registry.example.com/acme/payouts".parse().unwrap();
        let metadata = BuildMetadata {
            schema: BuildMetadata::SCHEMA.into(),
            image_ref: PinnedRef::new(repository.clone(), sha.clone(), DIGEST),
            short_sha: sha.short().into(),
            image_sha: sha.clone(),
            image_digest: DIGEST,
            repository: repository.clone(),
            repository_type: RepositoryType::Canonical,
            branch: "main".into(),
            arch: "linux/amd64".into(),
            signature_status: SignatureStatus::Unverified,
            signature_reason: "missing".into(),
            sbom_ref: String::new(),
            build_duration_sec: 1.0,
            pre_push_digest: DIGEST,
            post_push_digest: Some(DIGEST),
            digest_verification: DigestVerification::Ok,
            pushed: true,
            already_present: false,
            clean: true,
        };
        Facts {
            at: Timestamp::UNIX_EPOCH,
            request: Request { environment: "production".into(), sha, rollout: RolloutKind::Deploy },
            environment: EnvironmentFacts {
                repository,
                repository_type: RepositoryType::Canonical,
                main_branch: "main".into(),
                clean_build: true,
            },
            recorded: Lookup::Found(Recorded { metadata, source: "ledger entry 3".into() }),
            full_tag: Lookup::Found(ManifestFacts {
                digest: DIGEST,
                media_type: "application/vnd.oci.image.manifest.v1+json".into(),
                platform: "linux/amd64".into(),
                index: false,
            }),
            short_tag: Lookup::Found(DIGEST),
            on_main_branch: Lookup::Found(true),
            running: None,
            relation: Lookup::Found(Relation::First),
            deployed_before: false,
            on_target: Lookup::Absent,
            evidence: Some(EvidenceFacts {
                digest: DIGEST,
                signature: Proof::Verified(signed()),
                sbom: Proof::Verified(signed()),
                provenance: Proof::Verified(provenance()),
                record: Proof::Verified(record()),
                rebuild: Proof::Missing,
                scan: Proof::Verified(scan()),
                contract: Proof::Missing,
                migrations: Proof::Missing,
                foreign: Vec::new(),
            }),
            verified_before: None,
            regressed: None,
            contract: None,
            schema: None,
            version: None,
            policy: Some(PolicyFacts {
                verification: VerificationPolicy {
                    mode: VerificationMode::Auto,
                    threshold: 0.9,
                    min_samples: 10,
                    coverage: Coverage::default(),
                },
                sbom: Demand::Warn,
                provenance: Demand::Warn,
                builders: Vec::new(),
                record: Demand::Off,
                rebuild: Demand::Off,
                contract: Demand::Off,
                migrations: Demand::Off,
                api_break: Demand::Warn,
                version: None,
                advisories: AdvisoryPolicy {
                    fail_on: Some(AdvisorySeverity::High),
                    fixable_only: false,
                    ignore: Vec::new(),
                    scan: Demand::Warn,
                    uncovered: Demand::Warn,
                    max_age_sec: None,
                },
                overrides: Vec::new(),
            }),
        }
    }

    pub(crate) fn signed() -> Signed {
        Signed { by: "key SHA256:abc".into(), at: None, reference: "sha256:0909".into() }
    }

    pub(crate) fn provenance() -> ProvenanceFacts {
        ProvenanceFacts {
            signed: signed(),
            builder: "https://plimsoll.dev/builder/v1".into(),
            commit: Some(SHA.parse().unwrap()),
            clean: Some(true),
        }
    }

    pub(crate) fn record() -> RecordFacts {
        RecordFacts { signed: signed(), image_sha: SHA.parse().unwrap(), image_digest: DIGEST, clean: true }
    }

    /// A release whose one migration runs, with one way back that it keeps.
    pub(crate) fn schema() -> SchemaFacts {
        let way = WayBackFacts {
            sha: "89abcdef0123456789abcdef0123456789abcdef".parse().unwrap(),
            now: Lookup::Found(Vec::new()),
            after: Lookup::Found(Vec::new()),
        };
        SchemaFacts {
            database: Lookup::Found("postgres://db.example.com/payouts".into()),
            pending: vec![PendingMigration {
                path: "0002_email.sql".into(),
                class: "expand".into(),
                held: None,
                errors: Vec::new(),
            }],
            edited: Vec::new(),
            troubles: Vec::new(),
            serves: Lookup::Found(Vec::new()),
            ways_back: vec![way],
            window: 1,
            job: None,
        }
    }

    /// Good facts with such a schema, changed.
    pub(crate) fn with_schema(mut facts: Facts, change: impl FnOnce(&mut SchemaFacts)) -> Facts {
        let mut changed = schema();
        change(&mut changed);
        facts.schema = Some(changed);
        facts
    }

    pub(crate) fn scan() -> ScanFacts {
        ScanFacts {
            source: "advisories of this machine".into(),
            findings: Vec::new(),
            more: 0,
            components: 12,
            uncovered: 0,
            database_age_sec: 3600,
        }
    }

    /// Changes the evidence within facts.
    pub(crate) fn with_evidence(mut facts: Facts, change: impl FnOnce(&mut EvidenceFacts)) -> Facts {
        change(facts.evidence.as_mut().unwrap());
        facts
    }

    /// The same with mandatory verification.
    pub(crate) fn mandatory(mut facts: Facts) -> Facts {
        facts.policy.as_mut().unwrap().verification.mode = VerificationMode::Mandatory;
        facts
    }

    /// The ways in which a proof can be lacking.
    #[derive(Clone, Copy)]
    pub(crate) enum Lack {
        Missing,
        Untrusted,
        Invalid,
        Unknown,
    }

    impl Lack {
        pub(crate) fn into_proof<T>(self) -> Proof<T> {
            match self {
                Self::Missing => Proof::Missing,
                Self::Untrusted => Proof::Untrusted("key SHA256:xyz".into()),
                Self::Invalid => Proof::Invalid("the payload was changed".into()),
                Self::Unknown => Proof::Unknown("429 after 5 tries".into()),
            }
        }
    }

    /// Asserts what each lack of a proof means under each demand.
    pub(crate) fn assert_demanded(
        code: &str,
        demand: impl Fn(&mut PolicyFacts, Demand),
        evidence: impl Fn(&mut EvidenceFacts, Lack),
    ) {
        let facts = |lack, demanded| {
            let mut facts = with_evidence(good(), |e| evidence(e, lack));
            demand(facts.policy.as_mut().unwrap(), demanded);
            facts
        };
        for lack in [Lack::Missing, Lack::Untrusted, Lack::Invalid] {
            assert!(
                !decide(&facts(lack, Demand::Off)).decision.checks.iter().any(|check| check.code == code)
            );
            assert_check(&facts(lack, Demand::Warn), code, Outcome::Warn, None);
            assert_check(&facts(lack, Demand::Require), code, Outcome::Fail, Some(Class::Refused));
        }
        for demanded in [Demand::Warn, Demand::Require] {
            assert_check(&facts(Lack::Unknown, demanded), code, Outcome::Fail, Some(Class::Outside));
        }
        // What has no evidence at all is only said to be unsigned.
        let mut unsigned = facts(Lack::Missing, Demand::Warn);
        unsigned.evidence.as_mut().unwrap().signature = Proof::Missing;
        assert!(!decide(&unsigned).decision.checks.iter().any(|check| check.code == code));
    }

    /// The same release as a rollback that every rule allows.
    pub(crate) fn good_rollback() -> Facts {
        let mut facts = good();
        facts.request.rollout = RolloutKind::Rollback;
        facts.deployed_before = true;
        facts.relation = Lookup::Found(Relation::Older);
        facts.on_target = Lookup::Found(true);
        facts
    }

    /// Changes the record within good facts, whose image carries none.
    pub(crate) fn with_record(change: impl FnOnce(&mut BuildMetadata)) -> Facts {
        let mut facts = with_evidence(good(), |evidence| evidence.record = Proof::Missing);
        if let Lookup::Found(recorded) = &mut facts.recorded {
            change(&mut recorded.metadata);
        }
        facts
    }

    /// Asserts that the rule with `code` ends as `outcome` and the verdict in `class`.
    pub(crate) fn assert_check(facts: &Facts, code: &str, outcome: Outcome, class: Option<Class>) {
        let verdict = decide(facts);
        let check = verdict.decision.checks.iter().find(|check| check.code == code);
        let check = check.unwrap_or_else(|| panic!("no check {code} in {:#?}", verdict.decision));
        assert_eq!(check.outcome, outcome, "{check:#?}");
        assert_eq!(verdict.decision.refusal_class(), class, "{:#?}", verdict.decision);
        assert_eq!(verdict.approved.is_some(), class.is_none());
        assert_eq!(outcome == Outcome::Pass, check.hint.is_empty(), "a hint exactly when something is wrong");
    }

    #[test]
    fn good_facts_are_allowed_and_name_the_pinned_release() {
        for facts in [good(), good_rollback()] {
            let verdict = decide(&facts);
            assert!(verdict.decision.checks.iter().all(|check| check.outcome == Outcome::Pass));
            let approved = verdict.approved.unwrap();
            let expected = format!("registry.example.com/acme/payouts:{SHA}@{DIGEST}");
            assert_eq!(approved.release().to_string(), expected);
        }
    }

    /// POL-1: what refuses an image at a deployment refuses it at an admission.
    #[test]
    fn an_image_is_judged_by_the_rules_of_a_deployment() {
        let mut unsigned = mandatory(with_evidence(good(), |evidence| evidence.signature = Proof::Missing));
        unsigned.on_main_branch = Lookup::Unknown("no repository here".into());
        let of_image = decide_image(&unsigned);
        assert_eq!(of_image.failures().map(|check| check.code.as_str()).collect::<Vec<_>>(), ["SIG-001"]);
        let of_deployment = decide(&unsigned).decision;
        assert!(of_image.checks.iter().all(|check| of_deployment.checks.contains(check)));
        assert!(decide_image(&good()).allowed);
        for code in super::ABOUT_IMAGES {
            assert!(RULES.iter().any(|rule| rule.page.code == code), "{code}");
        }
    }

    #[test]
    fn every_rule_has_its_own_code_and_page() {
        let mut codes: Vec<_> = RULES.iter().map(|rule| rule.page.code).collect();
        assert_eq!(
            codes,
            PAGES
                .iter()
                .map(|page| page.code)
                .filter(|code| *code != overrides::PAGE.code)
                .collect::<Vec<_>>()
        );
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), RULES.len());
    }

    /// Facts that an older version recorded have no evidence, and keep their verdict.
    #[test]
    fn facts_without_evidence_are_decided_as_they_were() {
        let facts = Facts { evidence: None, policy: None, ..good() };
        let verdict = decide(&facts);
        assert!(verdict.decision.allowed);
        assert!(verdict.decision.checks.iter().all(|check| !check.code.starts_with("SIG")));
        let text = serde_json::to_string(&facts).unwrap();
        assert!(!text.contains("evidence"));
    }

    /// Invariant 3: the same facts, stored and read back, give the same verdict.
    #[test]
    fn facts_survive_the_ledger() {
        let facts = good_rollback();
        let text = serde_json::to_string(&facts).unwrap();
        let again: Facts = serde_json::from_str(&text).unwrap();
        assert_eq!(decide(&again), decide(&facts));
    }

    #[test]
    fn a_registry_that_cannot_be_asked_is_no_verdict() {
        let mut facts = good();
        facts.full_tag = Lookup::Unknown("connection refused".into());
        facts.short_tag = Lookup::Unknown("connection refused".into());
        assert_eq!(decide(&facts).decision.refusal_class(), Some(Class::Outside));
    }

    /// RBK-1: going back works while the registry is down, if the target holds the image.
    #[test]
    fn a_rollback_needs_no_registry_when_the_target_holds_the_image() {
        let mut facts = good_rollback();
        facts.full_tag = Lookup::Unknown("connection refused".into());
        facts.short_tag = Lookup::Unknown("connection refused".into());
        let verdict = decide(&facts);
        assert!(verdict.decision.allowed, "{verdict:#?}");
        assert!(verdict.decision.checks.iter().any(|check| check.outcome == Outcome::Warn));
        facts.on_target = Lookup::Found(false);
        assert_eq!(decide(&facts).decision.refusal_class(), Some(Class::Outside));
    }
}
