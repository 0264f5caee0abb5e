//! The guard's rules: one rule, one file, with its page and its tests.

use plimsoll_model::finding::Severity;
use plimsoll_model::{Check, Outcome, Page};

use crate::Facts;

mod architecture;
mod branch_ancestry;
mod build_recorded;
mod clean_build;
mod deployed_before;
mod digest_unchanged;
mod full_tag_exists;
mod no_silent_rollback;
mod push_verified;
mod record_consistent;
mod repository_allowed;
mod short_tag_parity;

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
    deployed_before::RULE,
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
    deployed_before::PAGE,
];

impl Rule {
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

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;
    use plimsoll_model::event::RolloutKind;
    use plimsoll_model::{
        BuildMetadata, Class, Digest, DigestVerification, Lookup, PinnedRef, RepositoryType, SignatureStatus,
    };

    use super::*;
    use crate::{EnvironmentFacts, ManifestFacts, Recorded, Relation, Request, decide};

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
        }
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

    /// Changes the record within good facts.
    pub(crate) fn with_record(change: impl FnOnce(&mut BuildMetadata)) -> Facts {
        let mut facts = good();
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

    #[test]
    fn every_rule_has_its_own_code_and_page() {
        let mut codes: Vec<_> = RULES.iter().map(|rule| rule.page.code).collect();
        assert_eq!(codes, PAGES.iter().map(|page| page.code).collect::<Vec<_>>());
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), RULES.len());
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
