//! What decides a version: one rule, one file, with its page and its tests.

use plimsoll_model::finding::Severity;
use plimsoll_model::{Check, Lookup, Outcome, Page};
use semver::Version;

use crate::check::Claim;
use crate::facts::Facts;
use crate::level::{Level, Meaning};
use crate::next::{Contradiction, Doubt, Reason};

mod advisory_appears;
mod advisory_resolved;
mod already_released;
mod api_addition;
mod api_break;
mod api_wording;
mod break_not_seen;
mod commit_addition;
mod commit_break;
mod commit_fix;
mod commits_say_less;
mod dependencies_changed;
mod evidence_known;
mod first_release;
mod goes_backwards;
mod one_version;
mod says_less;
mod schema_addition;
mod schema_break;
mod schema_change;
#[cfg(test)]
pub(crate) mod testing;

/// So many pieces of evidence are cited.
pub const CITED: usize = 5;

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its page for `plimsoll explain`; holds code and name.
    pub page: &'static Page,
    judge: Judge,
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy)]
enum Judge {
    /// Why the version moves.
    Reason(fn(&Facts) -> Option<Seen>),
    /// What does not fit together, given what the release means.
    Contradiction(fn(&Facts, Meaning) -> Option<String>),
    /// Whether a version may be claimed.
    Claim(fn(&Claim<'_>) -> Option<Judgement>),
}

/// Every rule, in the order in which it is told.
pub const RULES: &[Rule] = &[
    api_break::RULE,
    schema_break::RULE,
    commit_break::RULE,
    api_addition::RULE,
    schema_addition::RULE,
    commit_addition::RULE,
    advisory_resolved::RULE,
    api_wording::RULE,
    schema_change::RULE,
    dependencies_changed::RULE,
    commit_fix::RULE,
    commits_say_less::RULE,
    break_not_seen::RULE,
    advisory_appears::RULE,
    one_version::RULE,
    already_released::RULE,
    goes_backwards::RULE,
    says_less::RULE,
    evidence_known::RULE,
];

/// The page of every rule.
pub const PAGES: &[Page] = &[
    api_break::PAGE,
    api_addition::PAGE,
    api_wording::PAGE,
    schema_break::PAGE,
    schema_addition::PAGE,
    schema_change::PAGE,
    dependencies_changed::PAGE,
    advisory_resolved::PAGE,
    commit_break::PAGE,
    commit_addition::PAGE,
    commit_fix::PAGE,
    first_release::PAGE,
    commits_say_less::PAGE,
    break_not_seen::PAGE,
    advisory_appears::PAGE,
    one_version::PAGE,
    already_released::PAGE,
    goes_backwards::PAGE,
    says_less::PAGE,
    evidence_known::PAGE,
];

/// What a rule saw.
struct Seen {
    meaning: Meaning,
    message: String,
    evidence: Vec<String>,
}

/// What a rule saw, and which rule.
pub(crate) struct Said {
    pub(crate) meaning: Meaning,
    page: &'static Page,
    message: String,
    evidence: Vec<String>,
}

impl Said {
    pub(crate) fn reason(self, previous: &Version) -> Reason {
        Reason {
            rule: self.page.code.into(),
            name: self.page.name.into(),
            level: self.meaning.level(previous),
            message: self.message,
            evidence: cited(self.evidence),
        }
    }
}

/// The first few, and how many more there are.
fn cited(mut evidence: Vec<String>) -> Vec<String> {
    let more = evidence.len().saturating_sub(CITED);
    evidence.truncate(CITED);
    if more > 0 {
        evidence.push(format!("and {more} more"));
    }
    evidence
}

impl Rule {
    /// What it says of these facts.
    pub(crate) fn said(&self, facts: &Facts) -> Option<Said> {
        let Judge::Reason(judge) = self.judge else { return None };
        let Seen { meaning, message, evidence } = judge(facts)?;
        Some(Said { meaning, page: self.page, message, evidence })
    }

    /// What it says of a version that is claimed.
    pub(crate) fn check(&self, claim: &Claim<'_>) -> Option<Check> {
        let Judge::Claim(judge) = self.judge else { return None };
        let judgement = judge(claim)?;
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

/// What does not fit together.
pub(crate) fn contradictions(facts: &Facts, meaning: Meaning) -> Vec<Contradiction> {
    RULES
        .iter()
        .filter_map(|rule| match rule.judge {
            Judge::Contradiction(judge) => Some(contradiction(rule.page, judge(facts, meaning)?)),
            _ => None,
        })
        .chain(one_version::disagreement(facts).map(|message| contradiction(&one_version::PAGE, message)))
        .collect()
}

fn contradiction(page: &Page, message: String) -> Contradiction {
    Contradiction { rule: page.code.into(), name: page.name.into(), message }
}

/// The number that should come next belongs to another line of releases.
pub(crate) fn taken(facts: &Facts, taken: &Version, target: &Version) -> Contradiction {
    contradiction(&already_released::PAGE, already_released::taken(facts, taken, target))
}

/// Why a first release is called what it is called.
pub(crate) fn first_reason(message: String) -> Reason {
    Reason {
        rule: first_release::PAGE.code.into(),
        name: first_release::PAGE.name.into(),
        level: Level::None,
        message,
        evidence: Vec::new(),
    }
}

/// What is not known.
pub(crate) fn doubts(facts: &Facts) -> Vec<Doubt> {
    evidence_known::doubts(facts)
}

/// Why something is not known; nothing where it is found or absent.
fn unknown<T>(lookup: &Lookup<T>) -> Option<&str> {
    match lookup {
        Lookup::Found(_) | Lookup::Absent => None,
        Lookup::Invalid(why) | Lookup::Unknown(why) => Some(why),
    }
}

/// `1 commit`, `2 commits`.
fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// What one rule found of a claim.
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

    fn unknown(self, hint: impl Into<String>) -> Option<Judgement> {
        self.judged(Outcome::Fail, Some(Severity::Unknown), hint.into())
    }

    fn judged(self, outcome: Outcome, severity: Option<Severity>, hint: String) -> Option<Judgement> {
        Some(Judgement { outcome, severity, expected: self.expected, found: self.found, hint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_written_and_every_rule_has_one() {
        let pages: Vec<&Page> = PAGES.iter().chain(crate::changelog::PAGES).collect();
        for page in &pages {
            assert_eq!(pages.iter().filter(|other| other.code == page.code).count(), 1, "{}", page.code);
            for text in [page.what, page.why, page.how] {
                assert!(text.len() > 20 && !text.contains("  "), "{}: {text:?}", page.code);
            }
        }
        for rule in RULES {
            assert!(PAGES.iter().any(|page| page.code == rule.page.code), "{}", rule.page.code);
        }
    }
}
