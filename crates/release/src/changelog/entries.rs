//! What a release has to say: one line for each change.

use std::fmt;

use plimsoll_model::Lookup;
use serde::{Deserialize, Serialize};

use super::evidence::{of_advisories, of_api, of_dependencies, of_schema};
use super::marker::{self, Marker, Source};
use crate::commits::{CommitFacts, Kind};
use crate::facts::Facts;
use crate::wording::capital;

/// The headings of a release, in their order: those of Keep a Changelog 1.1,
/// then those that only evidence fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// New features.
    Added,
    /// Changes in what was there.
    Changed,
    /// What will be removed.
    Deprecated,
    /// What was removed.
    Removed,
    /// Bugs that are gone.
    Fixed,
    /// Vulnerabilities.
    Security,
    /// What clients of the API notice.
    Api,
    /// What the database gains and loses.
    Schema,
    /// What the release is made of.
    Dependencies,
    /// Commits that are no conventional commits.
    Other,
}

impl Group {
    pub(super) const ALL: [Self; 10] = [
        Self::Added,
        Self::Changed,
        Self::Deprecated,
        Self::Removed,
        Self::Fixed,
        Self::Security,
        Self::Api,
        Self::Schema,
        Self::Dependencies,
        Self::Other,
    ];
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Added => "Added",
            Self::Changed => "Changed",
            Self::Deprecated => "Deprecated",
            Self::Removed => "Removed",
            Self::Fixed => "Fixed",
            Self::Security => "Security",
            Self::Api => "API",
            Self::Schema => "Schema",
            Self::Dependencies => "Dependencies",
            Self::Other => "Other",
        })
    }
}

/// Where commits go that are no conventional commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Others {
    /// To Changed.
    #[default]
    Changed,
    /// To a group of their own.
    Other,
}

/// One line of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Under which heading.
    pub group: Group,
    /// Where it comes from.
    pub source: Source,
    /// What it tells of; the same however it is worded.
    pub id: String,
    /// The line, in Markdown.
    pub text: String,
    /// The evidence.
    pub cited: String,
    /// Whether somebody has to change something because of it.
    pub breaking: bool,
}

impl Entry {
    pub(super) fn new(
        group: Group,
        source: Source,
        key: &[&str],
        text: impl Into<String>,
        cited: impl Into<String>,
    ) -> Self {
        let word = source.to_string();
        let key: Vec<&str> = std::iter::once(word.as_str()).chain(key.iter().copied()).collect();
        Self {
            group,
            source,
            id: marker::id(&key),
            text: marker::words(&text.into()),
            cited: cited.into(),
            breaking: false,
        }
    }

    pub(super) fn breaking(mut self) -> Self {
        self.breaking = true;
        self.text = format!("**Breaking:** {}", self.text);
        self
    }

    pub(super) fn marker(&self) -> Marker {
        Marker {
            source: self.source,
            id: self.id.clone(),
            sum: marker::sum(&self.text),
            cited: self.cited.clone(),
        }
    }
}

/// Everything that a release has to say: within a group what breaks first, then
/// the newest first.
pub fn entries(facts: &Facts, others: Others) -> Vec<Entry> {
    let mut entries = Vec::new();
    if let Lookup::Found(commits) = &facts.commits {
        entries.extend(commits.iter().filter_map(|commit| of_commit(commit, others)));
    }
    if let Lookup::Found(dependencies) = &facts.dependencies {
        of_advisories(dependencies, &mut entries);
    }
    if let Lookup::Found(api) = &facts.api {
        of_api(api, &mut entries);
    }
    if let Lookup::Found(schema) = &facts.schema {
        of_schema(schema, facts.shared_database, &mut entries);
    }
    if let Lookup::Found(dependencies) = &facts.dependencies {
        of_dependencies(dependencies, &mut entries);
    }
    let mut seen = std::collections::BTreeSet::new();
    entries.retain(|entry| !entry.text.is_empty() && seen.insert(entry.id.clone()));
    entries.sort_by_key(|entry| (entry.group, !entry.breaking));
    entries
}

fn of_commit(commit: &CommitFacts, others: Others) -> Option<Entry> {
    let breaks = !commit.breaking.is_empty();
    let group = match commit.kind {
        Kind::Feature => Group::Added,
        Kind::Fix => Group::Fixed,
        Kind::Security => Group::Security,
        Kind::Deprecation => Group::Deprecated,
        Kind::Removal => Group::Removed,
        Kind::Change => Group::Changed,
        Kind::Housekeeping if breaks => Group::Changed,
        Kind::Housekeeping => return None,
        Kind::Other if is_release(&commit.description) && !breaks => return None,
        Kind::Other if others == Others::Other => Group::Other,
        Kind::Other => Group::Changed,
    };
    let mut text = match (&commit.scope, commit.type_.as_str()) {
        (_, "revert") => format!("Reverted: {}", commit.description),
        (Some(scope), _) => format!("**{scope}:** {}", commit.description),
        (None, _) => capital(&commit.description),
    };
    let explained: Vec<&str> =
        commit.breaking.iter().map(String::as_str).filter(|said| *said != commit.description).collect();
    if !explained.is_empty() {
        let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
        text = format!("{text}{stop} {}", explained.join(" "));
    }
    let [type_, scope, description] = commit.key();
    let key = [type_.as_str(), &scope, &description];
    let entry = Entry::new(group, Source::Commit, &key, inline(&text), commit.sha.short());
    Some(if breaks { entry.breaking() } else { entry })
}

/// The commit that made a release says nothing about it: `Release 1.2.3`, `v1.2.3`.
fn is_release(subject: &str) -> bool {
    let words: Vec<&str> = subject.split_whitespace().collect();
    let rest = match words.as_slice() {
        [word, rest @ ..]
            if ["release", "bump", "version", "prepare"].contains(&word.to_ascii_lowercase().as_str()) =>
        {
            rest
        }
        all => all,
    };
    matches!(rest.last(), Some(last) if rest.len() <= 3 && crate::tag::version(last, None).is_some())
        && rest.iter().all(|word| {
            crate::tag::version(word, None).is_some()
                || ["to", "version", "release", "for"].contains(&word.to_ascii_lowercase().as_str())
        })
}

/// Text from elsewhere as one line of Markdown that stays what it is: no HTML,
/// no comment, no heading, no reference definition.
pub(super) fn inline(text: &str) -> String {
    let text = marker::words(text);
    let mut safe = String::with_capacity(text.len());
    let mut code = false;
    let balanced = text.matches('`').count().is_multiple_of(2);
    for (at, c) in text.char_indices() {
        match c {
            '`' if balanced => code = !code,
            '<' if !code => {
                safe.push_str("&lt;");
                continue;
            }
            // A comment is a comment even where a code span seems to be.
            '<' if text[at..].starts_with("<!--") => {
                safe.push_str("&lt;");
                continue;
            }
            '-' if text[at..].starts_with("-->") => {
                safe.push_str("&#45;");
                continue;
            }
            _ => {}
        }
        safe.push(c);
    }
    let begins = |marks: &[char]| safe.starts_with(marks);
    let is_definition = safe.starts_with('[') && safe.contains("]:");
    if begins(&['#', '>', '-', '+', '=', '~']) || is_definition || safe.starts_with("* ") {
        safe.insert(0, '\\');
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{
        Advisory, ApiLevel, Dependency, DependencyChange, DependencyEvidence, SchemaDifference, StepClass,
    };
    use crate::rules::testing::{after, api, commits, schema};

    fn lines(facts: &Facts) -> Vec<String> {
        entries(facts, Others::Changed)
            .iter()
            .map(|entry| format!("{}: {}", entry.group, entry.text))
            .collect()
    }

    /// CHG-1.
    #[test]
    fn commits_under_their_headings() {
        let messages = [
            "feat(api): list accounts",
            "fix!: round half to even\n\nBREAKING CHANGE: Sums differ by a cent.",
            "feat!: new ids",
            "perf: faster",
            "sec: close a hole",
            "deprecate: fax",
            "remove: telex",
            "docs: words",
            "chore: words",
            "revert: feat: x",
            "Just words",
            "Release 1.2.3",
            "v1.2.3",
        ];
        let facts = Facts { commits: Lookup::Found(commits(&messages)), ..after("1.2.3") };
        assert_eq!(
            lines(&facts),
            [
                "Added: **Breaking:** New ids",
                "Added: **api:** list accounts",
                "Changed: Faster",
                "Changed: Reverted: feat: x",
                "Changed: Just words",
                "Deprecated: Fax",
                "Removed: Telex",
                "Fixed: **Breaking:** Round half to even. Sums differ by a cent.",
                "Security: Close a hole",
            ]
        );
        let other = entries(&facts, Others::Other);
        assert!(other.iter().any(|entry| entry.group == Group::Other && entry.text == "Just words"));
    }

    #[test]
    fn evidence_in_words() {
        let advisory = |id: &str| Advisory {
            id: id.into(),
            aliases: vec!["CVE-2026-0001".into()],
            package: "pkg:cargo/example@1.0.0".into(),
            severity: "high".into(),
            summary: "Reads past the end".into(),
        };
        let dependency = |package: &str, change, from: Option<&str>, to: Option<&str>| Dependency {
            package: package.into(),
            change,
            from: from.map(Into::into),
            to: to.map(Into::into),
        };
        let dependencies = DependencyEvidence {
            changes: vec![
                dependency("pkg:cargo/serde", DependencyChange::Upgraded, Some("1.0.0"), Some("1.0.1")),
                dependency("pkg:npm/%40acme/ui", DependencyChange::Added, None, Some("2.0.0")),
                dependency("pkg:pypi/six", DependencyChange::Removed, Some("1.16"), None),
            ],
            vanished: Lookup::Found(vec![advisory("RUSTSEC-2026-0001")]),
            appeared: Lookup::Found(vec![advisory("RUSTSEC-2026-0002")]),
        };
        let Lookup::Found(mut schema) = schema(StepClass::Contract) else { unreachable!("it was just made") };
        schema.differences = vec![
            SchemaDifference { what: "column payouts.iban".into(), added: true },
            SchemaDifference { what: "table telex".into(), added: false },
        ];
        let facts = Facts {
            commits: Lookup::Found(Vec::new()),
            dependencies: Lookup::Found(dependencies),
            api: api(ApiLevel::Breaking),
            schema: Lookup::Found(schema),
            ..after("1.2.3")
        };
        assert_eq!(
            lines(&facts),
            [
                "Security: RUSTSEC-2026-0001 (CVE-2026-0001, severity high) in `example` 1.0.0 no longer affects this \
                 service: Reads past the end",
                "Security: RUSTSEC-2026-0002 (CVE-2026-0001, severity high) in `example` 1.0.0 is known to affect this \
                 release: Reads past the end",
                "API: **Breaking:** `GET /payouts` no longer returns `fax`",
                "Schema: **Breaking:** Migration `migrations/0007_fax.sql` takes away what older code may use: \
                 `payouts.fax` is dropped, and no release has declared whether it uses it",
                "Schema: New column `payouts.iban`",
                "Schema: Table `telex` is gone",
                "Dependencies: Upgraded `serde` (cargo) from 1.0.0 to 1.0.1",
                "Dependencies: Added `@acme/ui` (npm) 2.0.0",
                "Dependencies: Removed `six` (pypi) 1.16",
            ]
        );
    }

    /// Text of others stays the text of one line.
    #[test]
    fn foreign_text_is_no_markup() {
        for (text, expected) in [
            ("Vec<T> and `Vec<T>`", "Vec&lt;T> and `Vec<T>`"),
            ("a <!-- b --> c", "a &lt;!-- b &#45;-> c"),
            ("`a <!-- b -->`", "`a &lt;!-- b &#45;->`"),
            ("# a", "\\# a"),
            ("- a", "\\- a"),
            ("* a", "\\* a"),
            ("**api:** a", "**api:** a"),
            ("[x]: http://example.com", "\\[x]: http://example.com"),
            ("a\n## b", "a ## b"),
            ("open ` <b>", "open ` &lt;b>"),
        ] {
            assert_eq!(inline(text), expected);
        }
    }

    #[test]
    fn thousands_of_changes_are_a_number() {
        let Lookup::Found(mut evidence) = api(ApiLevel::Additive) else { unreachable!("it was just made") };
        let one = evidence.changes[0].clone();
        evidence.changes =
            (0..1000).map(|at| crate::ApiChange { location: format!("#/{at}"), ..one.clone() }).collect();
        let facts = Facts { api: Lookup::Found(evidence), commits: Lookup::Absent, ..after("1.2.3") };
        let lines = lines(&facts);
        assert_eq!(lines.len(), 201);
        assert_eq!(lines[200], "API: 800 more changes, which `plimsoll contract diff` lists");
    }
}
