//! The next version, and why.

use plimsoll_model::Lookup;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::level::{Level, Meaning, base, bump};
use crate::rules::{self, Said};

/// Why the version moves: one rule and what it saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The code of the rule, for `plimsoll explain`.
    pub rule: String,
    /// Its name.
    pub name: String,
    /// Which number it moves.
    pub level: Level,
    /// In one sentence.
    pub message: String,
    /// What it saw: a rule of the comparison and the place, a commit, a
    /// migration, a package. At most [`rules::CITED`], and how many more.
    pub evidence: Vec<String>,
}

/// Two facts that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// The code of the rule, for `plimsoll explain`.
    pub rule: String,
    /// Its name.
    pub name: String,
    /// In one sentence.
    pub message: String,
}

/// Evidence that could not be had: the version may have to say more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// What: `API`, `schema`, `dependencies`, `commits`, `previous release`.
    pub about: String,
    /// Why it is not known.
    pub why: String,
    /// The most that it could demand.
    pub most: Level,
}

/// The next version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// The version; none where the previous release is not known. With
    /// [`Next::doubts`] it is the least that is needed.
    pub version: Option<Version>,
    /// The release before; none for the first one.
    pub previous: Option<Version>,
    /// Which number moves.
    pub level: Level,
    /// Why; the strongest first.
    pub reasons: Vec<Reason>,
    /// What does not fit together.
    pub contradictions: Vec<Contradiction>,
    /// What is not known.
    pub doubts: Vec<Doubt>,
}

/// The version that a service begins with when it states none.
const FIRST: Version = Version::new(0, 1, 0);

/// Computes the next version from the facts (VER-1). The strongest reason wins.
pub fn next(facts: &Facts) -> Next {
    let previous = facts.previous.found().map(|released| &released.version);
    let zero = Version::new(0, 0, 0);
    let from = previous.unwrap_or(&zero);
    let mut said: Vec<Said> = rules::RULES.iter().flat_map(|rule| rule.said(facts)).collect();
    // Stable: among equals the order of the rules stays.
    said.sort_by_key(|said| std::cmp::Reverse(said.meaning));
    let meaning = said.first().map_or(Meaning::Nothing, |said| said.meaning);
    let mut level = meaning.level(from);
    let mut reasons: Vec<Reason> = said.into_iter().map(|said| said.reason(from)).collect();
    let mut contradictions = rules::contradictions(facts, meaning);
    let version = match (&facts.previous, previous) {
        (Lookup::Absent, _) => {
            let (version, reason) = first(facts);
            level = Level::None;
            reasons.insert(0, reason);
            Some(version)
        }
        (_, Some(previous)) => Some(target(facts, previous, level, &mut contradictions)),
        _ => None,
    };
    Next {
        version,
        previous: previous.cloned(),
        level,
        reasons,
        contradictions,
        doubts: rules::doubts(facts),
    }
}

/// What a first release is called.
fn first(facts: &Facts) -> (Version, Reason) {
    let zero = Version::new(0, 0, 0);
    let stated = facts
        .stated
        .iter()
        .find_map(|stated| Some((stated.version.found().filter(|version| **version > zero)?, &stated.place)));
    let (version, message) = match stated {
        Some((version, place)) => {
            (version.clone(), format!("no version was released before; {place} states {version}"))
        }
        None => (FIRST, "no version was released before, and no manifest states one".into()),
    };
    (version, rules::first_reason(message))
}

fn target(
    facts: &Facts,
    previous: &Version,
    level: Level,
    contradictions: &mut Vec<Contradiction>,
) -> Version {
    if level == Level::None {
        return previous.clone();
    }
    // A pre-release is completed by the release it announced.
    let mut target = if previous.pre.is_empty() { bump(previous, level) } else { base(previous) };
    let announced = facts
        .released
        .iter()
        .filter(|released| !released.version.pre.is_empty() && released.announces)
        .map(|released| base(&released.version))
        .max();
    if let Some(announced) = announced.filter(|announced| *announced > target) {
        target = announced;
    }
    // On a line of maintenance the next number may belong to another line.
    let mut taken = None;
    while facts
        .released
        .iter()
        .any(|released| base(&released.version) == target && released.version.pre.is_empty())
    {
        taken.get_or_insert_with(|| target.clone());
        let further = bump(&target, level);
        if further == target {
            break;
        }
        target = further;
    }
    if let Some(taken) = taken {
        contradictions.push(rules::taken(facts, &taken, &target));
    }
    target
}

#[cfg(test)]
mod tests;
