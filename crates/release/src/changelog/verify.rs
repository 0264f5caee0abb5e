//! Whether a changelog says what the evidence says.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_model::finding::Severity;
use plimsoll_model::{Check, Decision, Outcome, Page};
use serde::Serialize;

use super::document::{Changelog, Name};
use super::entries::Entry;
use super::marker::Source;
use super::pages::{ALTERED, BREAK_LEFT_OUT, INVENTED, NOT_TOLD, UNVERIFIABLE};
use super::section;

/// One line that is not right, or is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The code, for `plimsoll explain`.
    pub rule: String,
    /// The release.
    pub section: String,
    /// The line, from 1; none where something is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What the evidence says.
    pub expected: String,
    /// What the changelog says.
    pub found: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Evidence lines that say what the evidence says.
    pub verified: usize,
    /// Everything else.
    pub problems: Vec<Problem>,
    /// One check for each code.
    pub decision: Decision,
}

/// Compares a section with what it has to say, and all others with their own
/// marks. `unknown` names the evidence that could not be had, and why.
pub fn verify(
    changelog: &Changelog,
    name: &Name,
    entries: &[Entry],
    unknown: &BTreeMap<Source, String>,
) -> Verification {
    let mut verified = 0;
    let mut problems = Vec::new();
    for other in changelog.sections().iter().filter(|section| section.name != *name) {
        for item in section::read(changelog, other).items {
            let Some(marker) = item.marker.as_ref().filter(|marker| marker.source.is_evidence()) else {
                continue;
            };
            if item.is_pristine() {
                continue;
            }
            problems.push(Problem {
                rule: ALTERED.code.into(),
                section: other.name.to_string(),
                line: Some(item.lines.start + 1),
                expected: format!("the words that were generated from {}", marker.cited),
                found: item.text,
            });
        }
    }
    let content =
        changelog.section(name).map(|section| section::read(changelog, section)).unwrap_or_default();
    let told: BTreeSet<&str> = content.told.iter().map(String::as_str).collect();
    let by_id: BTreeMap<&str, &Entry> = entries.iter().map(|entry| (entry.id.as_str(), entry)).collect();
    let mut there: BTreeSet<&str> = BTreeSet::new();
    let mut problem = |page: &Page, line: Option<usize>, expected: &str, found: &str| {
        problems.push(Problem {
            rule: page.code.into(),
            section: name.to_string(),
            line,
            expected: expected.into(),
            found: found.into(),
        });
    };
    for item in &content.items {
        let Some(marker) = &item.marker else { continue };
        there.insert(&marker.id);
        if !marker.source.is_evidence() {
            continue;
        }
        let line = Some(item.lines.start + 1);
        match (unknown.get(&marker.source), by_id.get(marker.id.as_str())) {
            (Some(why), _) => problem(&UNVERIFIABLE, line, why, &item.text),
            (None, Some(entry)) if entry.text == item.text => verified += 1,
            (None, Some(entry)) => problem(&ALTERED, line, &entry.text, &item.text),
            (None, None) => problem(&INVENTED, line, "evidence that has this", &item.text),
        }
    }
    // Words without a mark tell as well.
    let words: BTreeSet<&str> = content.items.iter().map(|item| item.text.as_str()).collect();
    let released = *name != Name::Unreleased;
    for entry in entries
        .iter()
        .filter(|entry| !there.contains(entry.id.as_str()) && !words.contains(entry.text.as_str()))
    {
        let known = told.contains(entry.id.as_str());
        if entry.breaking && entry.source.is_evidence() && (known || released) {
            problem(&BREAK_LEFT_OUT, None, &entry.text, "nothing");
        } else if !known {
            problem(&NOT_TOLD, None, &entry.text, "nothing");
        }
    }
    for (source, why) in unknown {
        if content.items.iter().all(|item| item.marker.as_ref().is_none_or(|marker| marker.source != *source))
        {
            problem(&UNVERIFIABLE, None, why, &format!("no line about it ({source})"));
        }
    }
    let decision = decide(&problems, verified, released);
    Verification { verified, problems, decision }
}

fn decide(problems: &[Problem], verified: usize, released: bool) -> Decision {
    let stale = if released { Outcome::Fail } else { Outcome::Warn };
    let checks = [
        (ALTERED, "what the evidence says", Outcome::Fail, Severity::Refused),
        (INVENTED, "only evidence that there is", Outcome::Fail, Severity::Refused),
        (BREAK_LEFT_OUT, "every break", Outcome::Fail, Severity::Refused),
        (NOT_TOLD, "everything that the release has", stale, Severity::Refused),
        (UNVERIFIABLE, "evidence that can be had", Outcome::Fail, Severity::Unknown),
    ];
    let judged = checks.into_iter().map(|(page, expected, outcome, severity)| {
        let found: Vec<&Problem> = problems.iter().filter(|problem| problem.rule == page.code).collect();
        let outcome = if found.is_empty() { Outcome::Pass } else { outcome };
        Check {
            code: page.code.into(),
            name: page.name.into(),
            outcome,
            expected: found.first().map_or(expected, |problem| problem.expected.as_str()).to_owned(),
            found: shown(&found, verified),
            hint: if found.is_empty() { String::new() } else { hint(&page).into() },
            severity: (outcome == Outcome::Fail).then_some(severity),
        }
    });
    Decision::from_checks(judged.collect())
}

fn shown(found: &[&Problem], verified: usize) -> String {
    let Some(first) = found.first() else {
        return if verified == 1 { "1 line verified".into() } else { format!("{verified} lines verified") };
    };
    let place = match first.line {
        Some(line) => format!("{} line {line}: ", first.section),
        None => format!("{}: ", first.section),
    };
    let more = if found.len() > 1 { format!(" and {} more", found.len() - 1) } else { String::new() };
    format!("{place}{}{more}", first.found)
}

fn hint(page: &Page) -> &'static str {
    match page.code {
        "CHG-004" => "write it again with `plimsoll changelog --write`: what people wrote stays",
        "CHG-005" => "mend what is named; `git fetch --unshallow --tags` brings the whole history",
        _ => "`plimsoll changelog --write --restore` puts evidence lines back as the evidence has them",
    }
}
