//! Whether a version may be claimed for what it contains.

use plimsoll_model::{Decision, Lookup};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::facts::{Facts, Stated};
use crate::next::{Next, next};
use crate::rules::RULES;

/// A version and what it is judged by.
pub(crate) struct Claim<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) next: &'a Next,
    /// The version that is claimed.
    pub(crate) proposed: &'a Lookup<Version>,
    /// Whether a person named it, so that the manifests are only witnesses.
    pub(crate) named: bool,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The version that is claimed. Absent: nothing states one. Invalid: what
    /// states one cannot be read, or two differ.
    pub proposed: Lookup<Version>,
    /// The least that it must be; none where that is not known.
    pub least: Option<Version>,
    /// Every check, and whether all of them allow it. `refusal_class` tells a
    /// refusal from "no verdict".
    pub decision: Decision,
    /// What the evidence demands, with its reasons.
    pub next: Next,
}

/// Judges a version: the one named, else the one that tags and manifests of the
/// commit state.
pub fn check(facts: &Facts, named: Option<&Version>) -> Check {
    let proposed = match named {
        Some(version) => Lookup::Found(version.clone()),
        None => stated(&facts.stated),
    };
    let next = next(facts);
    let claim = Claim { facts, next: &next, proposed: &proposed, named: named.is_some() };
    let decision = Decision::from_checks(RULES.iter().filter_map(|rule| rule.check(&claim)).collect());
    Check { proposed, least: next.version.clone(), decision, next }
}

/// What tags and manifests state together.
pub fn stated(stated: &[Stated]) -> Lookup<Version> {
    let found: Vec<(&Version, &str)> =
        stated.iter().filter_map(|one| Some((one.version.found()?, one.place.as_str()))).collect();
    let Some((first, _)) = found.first() else {
        let broken = stated.iter().find_map(|one| match &one.version {
            Lookup::Invalid(why) => Some(Lookup::Invalid(format!("{}: {why}", one.place))),
            Lookup::Unknown(why) => Some(Lookup::Unknown(format!("{}: {why}", one.place))),
            _ => None,
        });
        return broken.unwrap_or(Lookup::Absent);
    };
    // Build metadata does not make another version (SemVer 2.0.0, 10).
    if found.iter().all(|(version, _)| version.cmp_precedence(first).is_eq()) {
        return Lookup::Found((*first).clone());
    }
    let each: Vec<String> =
        found.iter().map(|(version, place)| format!("{place} states {version}")).collect();
    Lookup::Invalid(each.join(", "))
}
