//! From messages to changes: squashed commits, merges, reverts, duplicates.

use std::collections::{BTreeMap, BTreeSet};

use git_conventional::Commit as Conventional;
use plimsoll_model::Commit;

use super::{CommitFacts, Kind, RawCommit};

/// No message is read further than this many bytes.
const MESSAGE_LIMIT: usize = 64 << 10;
/// A description longer than this many characters is cut.
const DESCRIPTION_LIMIT: usize = 300;
/// One squashed commit is told as at most so many changes.
const SQUASHED_LIMIT: usize = 200;

/// The changes that commits tell of, newest first, as the commits came.
///
/// * What was reverted in the same range did not happen, and neither did its
///   revert; a revert of something older is a change.
/// * A merge commit is what it merges, which is in the range, too; only what it
///   says that it breaks counts.
/// * A squashed commit without a type of its own is the conventional lines of
///   its body.
/// * The same change told twice (a cherry-pick, a commit and its squash) is one,
///   with everything that either says to break.
pub fn read(commits: &[RawCommit]) -> Vec<CommitFacts> {
    let undone = undone(commits);
    let mut changes: Vec<CommitFacts> = Vec::new();
    let mut known: BTreeMap<[String; 3], usize> = BTreeMap::new();
    for commit in commits.iter().filter(|commit| !undone.contains(&commit.sha)) {
        for change in of_commit(commit) {
            let key = change.key();
            match known.get(&key) {
                Some(&at) => {
                    let first = &mut changes[at];
                    let further: Vec<_> =
                        change.breaking.into_iter().filter(|said| !first.breaking.contains(said)).collect();
                    first.breaking.extend(further);
                }
                None => {
                    known.insert(key, changes.len());
                    changes.push(change);
                }
            }
        }
    }
    changes
}

/// Commits that did not happen: reverted ones and their reverts. A revert that
/// is itself reverted reverts nothing.
fn undone(commits: &[RawCommit]) -> BTreeSet<Commit> {
    let here: BTreeSet<&str> = commits.iter().map(|commit| commit.sha.as_str()).collect();
    let by_subject: BTreeMap<&str, &Commit> =
        commits.iter().rev().map(|commit| (subject(&commit.message), &commit.sha)).collect();
    let mut undone: BTreeSet<Commit> = BTreeSet::new();
    // Newest first: whether a revert stands is known before what it reverts.
    for commit in commits {
        if undone.contains(&commit.sha) {
            continue;
        }
        let Some(reverted) = reverted(&commit.message) else { continue };
        let targets: Vec<Commit> = match reverted {
            Reverted::Commits(names) => names
                .iter()
                .filter_map(|name| match name.len() {
                    40 => here.contains(name.as_str()).then(|| name.parse().ok()).flatten(),
                    _ => {
                        let next =
                            here.range(name.as_str()..).next().filter(|sha| sha.starts_with(name.as_str()));
                        next.and_then(|sha| sha.parse().ok())
                    }
                })
                .collect(),
            Reverted::Subject(subject) => {
                by_subject.get(subject.as_str()).map(|sha| (*sha).clone()).into_iter().collect()
            }
        };
        let targets: Vec<Commit> = targets.into_iter().filter(|target| *target != commit.sha).collect();
        if !targets.is_empty() {
            undone.extend(targets);
            undone.insert(commit.sha.clone());
        }
    }
    undone
}

enum Reverted {
    Commits(Vec<String>),
    Subject(String),
}

/// What a message says that it reverts.
fn reverted(message: &str) -> Option<Reverted> {
    let first = subject(message);
    let quoted =
        first.strip_prefix("Revert \"").and_then(|rest| rest.rsplit_once('"')).map(|(inner, _)| inner);
    let conventional = first.strip_prefix("revert: ").or_else(|| {
        first.strip_prefix("revert(").and_then(|rest| rest.split_once("): ")).map(|(_, rest)| rest)
    });
    let is_revert = quoted.is_some() || conventional.is_some();
    let names: Vec<String> = message
        .lines()
        .skip(1)
        .filter(|line| is_revert && (line.contains("This reverts commit") || line.starts_with("Refs:")))
        .flat_map(|line| line.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| is_name(word)))
        .map(str::to_ascii_lowercase)
        .collect();
    if !names.is_empty() {
        return Some(Reverted::Commits(names));
    }
    quoted.or(conventional).map(|inner| Reverted::Subject(inner.trim().to_owned()))
}

/// Seven digits and more name a commit; words such as `feed` have fewer.
fn is_name(word: &str) -> bool {
    (7..=40).contains(&word.len())
}

fn subject(message: &str) -> &str {
    message.lines().next().unwrap_or_default().trim()
}

/// What one commit tells.
fn of_commit(commit: &RawCommit) -> Vec<CommitFacts> {
    let message = bounded(&commit.message);
    // git itself writes no comments and trailing blanks, other tools do.
    let message = message.replace("\r\n", "\n");
    let message = message.trim();
    let header = subject(message);
    let of_pull_request = commit.merge
        || header.starts_with("Merge pull request #")
        || header.starts_with("Merge branch '")
        || header.starts_with("Merge remote-tracking branch '");
    if of_pull_request {
        return broken_by(commit, message).into_iter().collect();
    }
    match conventional(commit, message) {
        Some(change) => {
            // What the squashed commits say to break must not get lost.
            let mut changes = vec![change];
            changes.extend(squashed(commit, message).into_iter().filter(|inner| !inner.breaking.is_empty()));
            changes
        }
        None => {
            let changes = squashed(commit, message);
            if !changes.is_empty() {
                return changes;
            }
            vec![CommitFacts {
                sha: commit.sha.clone(),
                type_: String::new(),
                kind: Kind::Other,
                scope: None,
                description: shorten(header),
                breaking: breaking_footers(message),
            }]
        }
    }
}

/// What a merge commit says that it breaks.
fn broken_by(commit: &RawCommit, message: &str) -> Option<CommitFacts> {
    let body = message.split_once('\n').map_or("", |(_, body)| body).trim();
    let mut change = conventional(commit, body).or_else(|| conventional(commit, message));
    let footers = breaking_footers(message);
    if change.is_none() && !footers.is_empty() {
        let title = subject(if body.is_empty() { message } else { body });
        change = Some(CommitFacts {
            sha: commit.sha.clone(),
            type_: String::new(),
            kind: Kind::Other,
            scope: None,
            description: shorten(title),
            breaking: footers,
        });
    }
    change.filter(|change| !change.breaking.is_empty())
}

/// The conventional lines of a squashed commit's body: `* feat: …`.
fn squashed(commit: &RawCommit, message: &str) -> Vec<CommitFacts> {
    message
        .lines()
        .skip(1)
        .filter_map(|line| {
            line.trim_start().strip_prefix("* ").or_else(|| line.trim_start().strip_prefix("- "))
        })
        .filter_map(|line| conventional(commit, line.trim()))
        .take(SQUASHED_LIMIT)
        .collect()
}

fn conventional(commit: &RawCommit, message: &str) -> Option<CommitFacts> {
    let header = subject(message);
    // The header alone decides whether it is one; a body that breaks the
    // grammar must not turn a feature into something else.
    let parsed = Conventional::parse(header).ok()?;
    let type_ = parsed.type_().as_str().to_ascii_lowercase();
    // `net: fix x` and `Note: x` have a colon and are no conventional commits.
    let kind = kind(&type_).filter(|_| header.contains(": "))?;
    let description = parsed.description().trim();
    let mut breaking = breaking_footers(message);
    if parsed.breaking() && breaking.is_empty() {
        breaking.push(shorten(description));
    }
    Some(CommitFacts {
        sha: commit.sha.clone(),
        kind,
        type_,
        scope: parsed.scope().map(|scope| shorten(scope.as_str())),
        description: shorten(description),
        breaking,
    })
}

/// Every `BREAKING CHANGE: …` and `BREAKING-CHANGE: …` below the subject, with
/// the lines that belong to it. A squashed commit has several.
fn breaking_footers(message: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    for line in message.lines().skip(1) {
        let text = line.trim_start_matches(['*', '-', ' ']);
        let said = ["BREAKING CHANGE", "BREAKING-CHANGE", "BREAKING CHANGES"].iter().find_map(|token| {
            let rest = text.strip_prefix(token)?;
            rest.strip_prefix(": ")
                .or_else(|| rest.strip_prefix(" #"))
                .or_else(|| (rest == ":").then_some(""))
        });
        if let Some(said) = said {
            found.push(said.trim().to_owned());
            open = true;
        } else if line.trim().is_empty() || is_footer(line) {
            open = false;
        } else if open && let Some(last) = found.last_mut() {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(line.trim());
        }
    }
    found.into_iter().map(|said| shorten(&said)).filter(|said| !said.is_empty()).collect()
}

/// `Token: value` or `Token #value`, as git's trailers are.
fn is_footer(line: &str) -> bool {
    let token = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.contains(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    line.split_once(": ").or_else(|| line.split_once(" #")).is_some_and(|(before, _)| token(before))
}

fn kind(type_: &str) -> Option<Kind> {
    Some(match type_ {
        "feat" | "feature" | "add" | "added" => Kind::Feature,
        "fix" | "bugfix" | "hotfix" | "fixed" => Kind::Fix,
        "security" | "sec" => Kind::Security,
        "deprecate" | "deprecated" => Kind::Deprecation,
        "remove" | "removed" => Kind::Removal,
        "docs" | "doc" | "test" | "tests" | "ci" | "build" | "chore" | "style" | "release" | "wip" => {
            Kind::Housekeeping
        }
        "perf" | "refactor" | "change" | "changed" | "revert" | "improve" | "update" | "deps" | "i18n" => {
            Kind::Change
        }
        _ => return None,
    })
}

/// `(#12)` is added by squashing and is no part of what was changed.
pub(super) fn without_reference(description: &str) -> String {
    let trimmed = description.trim_end();
    let cut = trimmed.rfind(" (#").filter(|at| {
        let rest = &trimmed[at + 3..];
        rest.strip_suffix(')').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
    });
    trimmed[..cut.unwrap_or(trimmed.len())].to_lowercase()
}

fn bounded(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_LIMIT);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

/// One line of at most [`DESCRIPTION_LIMIT`] characters, without control characters.
fn shorten(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(DESCRIPTION_LIMIT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests;
