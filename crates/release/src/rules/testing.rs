//! Facts of a release, for the tests of the rules.
#![allow(clippy::unwrap_used)]

use plimsoll_model::{Commit, Lookup};
use semver::Version;

use crate::commits::{CommitFacts, RawCommit};
use crate::facts::{
    ApiChange, ApiEvidence, ApiLevel, DependencyEvidence, Facts, Released, SchemaEvidence, SchemaStep,
    Stated, StepClass, Taken,
};
use crate::next::{Next, next};

pub(crate) fn version(text: &str) -> Version {
    text.parse().unwrap()
}

pub(crate) fn sha(number: usize) -> Commit {
    format!("{number:040x}").parse().unwrap()
}

pub(crate) fn released(text: &str) -> Released {
    Released { version: version(text), name: format!("tag v{text}"), commit: sha(1), announces: false }
}

/// A release with one `fix:` commit after `previous`, in which nothing else changed.
pub(crate) fn after(previous: &str) -> Facts {
    let first = released(previous);
    Facts {
        commit: sha(9),
        previous: Lookup::Found(first.clone()),
        released: vec![first],
        stated: Vec::new(),
        api: Lookup::Found(ApiEvidence::default()),
        schema: Lookup::Found(SchemaEvidence::default()),
        dependencies: Lookup::Found(DependencyEvidence::default()),
        commits: Lookup::Found(commits(&["fix: rounding"])),
        shared_database: true,
    }
}

/// Newest first.
pub(crate) fn commits(messages: &[&str]) -> Vec<CommitFacts> {
    let raw: Vec<RawCommit> = messages
        .iter()
        .enumerate()
        .map(|(at, message)| RawCommit {
            sha: sha(100 + messages.len() - at),
            message: (*message).into(),
            merge: false,
        })
        .collect();
    crate::commits::read(&raw)
}

pub(crate) fn stated(place: &str, text: &str) -> Stated {
    Stated { place: place.into(), version: Lookup::Found(version(text)) }
}

pub(crate) fn api(level: ApiLevel) -> Lookup<ApiEvidence> {
    let (rule, name, detail) = match level {
        ApiLevel::Breaking => ("API-107", "response-property-removed", "`fax` no longer sent"),
        ApiLevel::Additive => ("API-106", "response-property-added", "`iban` now sent"),
        ApiLevel::Editorial => ("API-140", "documentation-changed", "`description` reworded"),
    };
    Lookup::Found(ApiEvidence {
        level: Some(level),
        changes: vec![ApiChange {
            rule: rule.into(),
            name: name.into(),
            level,
            operations: vec!["GET /payouts".into()],
            message: format!("Payout: {detail}"),
            details: vec![detail.into()],
            location: "#/components/schemas/Payout/properties/fax".into(),
            accepted: None,
        }],
    })
}

pub(crate) fn schema(class: StepClass) -> Lookup<SchemaEvidence> {
    let taken = match class {
        StepClass::Contract => vec![Taken {
            rule: "MIG-051".into(),
            message: "`payouts.fax` is dropped, and no release has declared whether it uses it".into(),
        }],
        _ => Vec::new(),
    };
    let file = "migrations/0007_fax.sql".into();
    Lookup::Found(SchemaEvidence {
        steps: vec![SchemaStep { file, class, taken, not_understood: 0 }],
        ..SchemaEvidence::default()
    })
}

/// The codes of the reasons and contradictions.
pub(crate) fn codes(next: &Next) -> Vec<&str> {
    let reasons = next.reasons.iter().map(|reason| reason.rule.as_str());
    reasons.chain(next.contradictions.iter().map(|contradiction| contradiction.rule.as_str())).collect()
}

/// Asserts that facts lead to this version, and that the rule has its say.
pub(crate) fn assert_next(facts: &Facts, code: &str, expected: &str) {
    let next = next(facts);
    assert_eq!(next.version, Some(version(expected)), "{next:#?}");
    assert!(codes(&next).contains(&code), "{next:#?}");
}

/// Asserts that a rule has nothing to say.
pub(crate) fn assert_silent(facts: &Facts, code: &str) {
    let next = next(facts);
    assert!(!codes(&next).contains(&code), "{next:#?}");
}

/// Asserts how a rule judges a version that somebody names.
pub(crate) fn assert_claim(
    facts: &Facts,
    named: Option<&str>,
    code: &str,
    outcome: plimsoll_model::Outcome,
    class: Option<plimsoll_model::Class>,
) {
    let checked = crate::check(facts, named.map(version).as_ref());
    let check = checked.decision.checks.iter().find(|check| check.code == code);
    let check = check.unwrap_or_else(|| panic!("no {code} in {checked:#?}"));
    assert_eq!(check.outcome, outcome, "{checked:#?}");
    assert_eq!(check.hint.is_empty(), outcome == plimsoll_model::Outcome::Pass, "{check:#?}");
    if class.is_some() {
        assert_eq!(checked.decision.refusal_class(), class, "{checked:#?}");
    }
}
