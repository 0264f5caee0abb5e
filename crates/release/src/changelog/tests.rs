//! A changelog between people and evidence.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_model::{Class, Lookup};

use super::*;
use crate::facts::{ApiLevel, Facts, StepClass};
use crate::rules::testing::{after, api, commits, schema, version};

fn facts() -> Facts {
    Facts {
        api: api(ApiLevel::Breaking),
        schema: schema(StepClass::Expand),
        commits: Lookup::Found(commits(&[
            "feat(api): list accounts",
            "fix: round half to even",
            "perf: faster",
        ])),
        ..after("1.2.3")
    }
}

fn wanted(facts: &Facts) -> Update {
    Update { entries: entries(facts, Others::Changed), ..Update::default() }
}

fn released(text: &str) -> Target {
    Target::Version { version: version(text), date: Some("2026-11-25".into()) }
}

fn parsed(text: &str) -> Changelog {
    Changelog::parse(text).unwrap()
}

/// Writes, and holds that writing again changes nothing.
fn written(text: &str, target: &Target, wanted: &Update) -> String {
    let once = update(&parsed(text), target, wanted).unwrap();
    let twice = update(&once.changelog, target, wanted).unwrap();
    assert_eq!(twice.changelog.to_string(), once.changelog.to_string());
    assert_eq!(twice.added, 0);
    once.changelog.to_string()
}

/// The text without comments, as it is shown.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(" <!-- plimsoll").or_else(|| rest.find("<!-- plimsoll")) {
        shown.push_str(&rest[..at]);
        rest = &rest[at + rest[at..].find("-->").unwrap() + 3..];
    }
    shown + rest
}

const SECTION: &str = "\
### Added

- **api:** list accounts

### Changed

- Faster

### Fixed

- Round half to even

### API

- **Breaking:** `GET /payouts` no longer returns `fax`

### Schema

- Migration `migrations/0007_fax.sql` adds to the database; older code goes on working
";

/// CHG-1: a section per release, commits and evidence.
#[test]
fn a_first_changelog() {
    let text = written("", &released("2.0.0"), &wanted(&facts()));
    assert_eq!(shown(&text).trim_end(), format!("## [2.0.0] - 2026-11-25\n\n{}", SECTION.trim_end()));
    let default =
        update(&Changelog::default(), &Target::Unreleased, &wanted(&facts())).unwrap().changelog.to_string();
    let (preamble, rest) = default.split_once("\n\n## [Unreleased]\n\n").unwrap();
    assert!(preamble.starts_with("# Changelog\n\n") && preamble.contains("keepachangelog.com"));
    assert_eq!(shown(rest).trim_end(), SECTION.trim_end());
}

#[test]
fn unreleased_becomes_the_release() {
    let before = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- By hand\n\n## [1.2.3] - 2026-01-01\n\n- old\n\n\
                  [unreleased]: https://e.example/a/compare/v1.2.3...HEAD\n";
    let text = written(before, &released("2.0.0"), &wanted(&facts()));
    let shown = shown(&text);
    assert!(
        shown.starts_with(
            "# Changelog\n\n## [Unreleased]\n\n## [2.0.0] - 2026-11-25\n\n### Added\n\n- By hand\n- **api:** list accounts\n\n### Changed\n"
        ),
        "{shown}"
    );
    assert!(shown.ends_with(
        "## [1.2.3] - 2026-01-01\n\n- old\n\n[unreleased]: https://e.example/a/compare/v2.0.0...HEAD\n\
         [2.0.0]: https://e.example/a/compare/v1.2.3...v2.0.0\n"
    ));
    // A section that was forgotten stands where it belongs.
    let text = written(before, &released("1.2.2"), &wanted(&facts()));
    let order: Vec<String> = parsed(&text).names().map(ToString::to_string).collect();
    assert_eq!(order, ["Unreleased", "1.2.3", "1.2.2"]);
}

#[test]
fn the_longest_version_is_found_again() {
    let long = format!("1.0.0-{}", "a".repeat(10_000));
    assert!(written("", &released(&long), &wanted(&facts())).starts_with("## [1.0.0-aaa"));
}

#[test]
fn the_style_of_the_file_is_kept() {
    let text = written(
        "# Changes\r\n\r\n### v1.0.0 (2020-01-01)\r\n\r\n* old\r\n",
        &released("2.0.0"),
        &wanted(&facts()),
    );
    assert!(
        text.starts_with("# Changes\r\n\r\n### v2.0.0 (2026-11-25)\r\n\r\n#### Added\r\n\r\n- "),
        "{text}"
    );
    assert!(text.lines().count() == text.matches("\r\n").count(), "every line end is the file's");
}

/// What a person reworded, moved, removed or wrote stays, and is told.
#[test]
fn human_edits_survive() {
    let target = released("2.0.0");
    let text = written("", &target, &wanted(&facts()));
    let mut lines: Vec<&str> = text.lines().collect();
    let find = |lines: &[&str], words: &str| lines.iter().position(|line| line.contains(words)).unwrap();
    // Removed.
    let at = find(&lines, "- Faster");
    lines.remove(at);
    // Reworded.
    let at = find(&lines, "Round half");
    let reworded = lines[at].replace("Round half to even", "Sums are rounded as banks do");
    lines[at] = &reworded;
    // Moved, evidence too.
    let at = find(&lines, "no longer returns");
    let moved = lines.remove(at);
    let at = find(&lines, "### Added");
    lines.insert(at + 2, moved);
    // Written.
    lines.insert(at + 3, "- Written by hand,\n  on two lines");
    lines.insert(at, "Some words about the release.\n");
    let edited = lines.join("\n") + "\n";
    let again = update(&parsed(&edited), &target, &wanted(&facts())).unwrap();
    assert_eq!(again.changelog.to_string(), edited);
    assert_eq!(again.notes, [Note { kind: NoteKind::Reworded, line: "Sums are rounded as banks do".into() }]);

    // A further commit is added, and nothing else happens.
    let mut more = facts();
    more.commits = Lookup::Found(commits(&[
        "feat: close accounts",
        "feat(api): list accounts",
        "fix: round half to even",
        "perf: faster",
    ]));
    let Lookup::Found(new) = &mut more.commits else { unreachable!("it was just made") };
    let Lookup::Found(old) = facts().commits else { unreachable!("it was just made") };
    new.splice(1.., old);
    let added = written(&edited, &target, &wanted(&more));
    let difference: Vec<&str> =
        added.lines().filter(|line| !edited.lines().any(|old| old == *line)).collect();
    assert_eq!(
        difference
            .iter()
            .filter(
                |line| !line.contains("plimsoll told") && !line.ends_with(" -->") || line.starts_with("- ")
            )
            .count(),
        1,
        "{difference:?}"
    );
    assert!(added.contains("- Close accounts <!-- plimsoll commit"));
}

/// A rebase gives commits other names and tells nothing new.
#[test]
fn a_rebase_doubles_no_line() {
    let text = written("", &Target::Unreleased, &wanted(&facts()));
    let by_hand = text.replace("- Faster", "- Much faster").replace("- Round half to even", "- Gone");
    let mut rebased = facts();
    let Lookup::Found(commits) = &mut rebased.commits else { unreachable!("it was just made") };
    for commit in commits {
        commit.sha = "f".repeat(40).parse().unwrap();
    }
    let again = written(&by_hand, &Target::Unreleased, &wanted(&rebased));
    assert_eq!(shown(&again), shown(&by_hand));
    assert_eq!(again.matches("ffffffffffff -->").count(), 1, "what nobody touched cites the new commit");
}

/// What nobody touched follows the evidence.
#[test]
fn pristine_lines_follow_the_evidence() {
    let target = Target::Unreleased;
    let text = written("", &target, &wanted(&facts()));
    let mut changed = facts();
    let Lookup::Found(api) = &mut changed.api else { unreachable!("it was just made") };
    api.changes[0].details.push("`telex` no longer sent".into());
    changed.schema = Lookup::Found(crate::SchemaEvidence::default());
    let again = shown(&written(&text, &target, &wanted(&changed)));
    assert!(again.contains("- **Breaking:** `GET /payouts` no longer returns `fax` and `telex`"));
    assert!(!again.contains("Schema") && !again.contains("0007"), "{again}");
}

/// Absent is not unknown: what cannot be had is neither added nor taken away.
#[test]
fn unknown_evidence_leaves_its_lines_alone() {
    let text = written("", &Target::Unreleased, &wanted(&facts()));
    let unknown = Facts { api: Lookup::Unknown("no".into()), ..facts() };
    let update_unknown = Update { unknown: BTreeSet::from([Source::Api]), ..wanted(&unknown) };
    assert_eq!(written(&text, &Target::Unreleased, &update_unknown), text);
    // And a line that was removed before stays out when it is known again.
    let without: String =
        text.split_inclusive('\n').filter(|line| !line.contains("no longer returns")).collect();
    let again = written(&without, &Target::Unreleased, &update_unknown);
    assert!(!written(&again, &Target::Unreleased, &wanted(&facts())).contains("no longer returns"));
}

#[test]
fn an_unclosed_comment_is_named() {
    for text in ["# Changelog\n\n<!-- never\n", "# Changelog\n\n```\n"] {
        let error = update(&parsed(text), &Target::Unreleased, &wanted(&facts())).unwrap_err();
        assert_eq!(error, Error::Unclosed { line: 3 });
    }
}

/// What belongs to the last item of a list stays with it.
#[test]
fn new_lines_come_after_all_of_the_last_item() {
    let text = "## [Unreleased]\n\n### Added\n\n- One\n\n  ```\n  code\n  ```\n\n  More of it.\n\n### Fixed\n\n- Two\n";
    let written = written(text, &Target::Unreleased, &wanted(&facts()));
    assert!(written.contains("  More of it.\n- **api:** list accounts"), "{written}");
}

fn checked(text: &str, name: &Name, facts: &Facts) -> Verification {
    verify(&parsed(text), name, &entries(facts, Others::Changed), &BTreeMap::new())
}

fn codes(verification: &Verification) -> Vec<&str> {
    verification.problems.iter().map(|problem| problem.rule.as_str()).collect()
}

/// CHG-1: evidence lines are verified.
#[test]
fn an_altered_evidence_line_is_found_and_restored() {
    let target = released("2.0.0");
    let name = target.name();
    let text = written("", &target, &wanted(&facts()));
    let sound = checked(&text, &name, &facts());
    assert!(sound.decision.allowed && sound.verified == 2, "{sound:#?}");
    // Line breaks are no change of words.
    let wrapped = text.replace("no longer returns", "no longer\n  returns");
    assert!(checked(&wrapped, &name, &facts()).decision.allowed);

    let altered = text.replace("no longer returns `fax`", "improves `fax`");
    let found = checked(&altered, &name, &facts());
    assert_eq!(codes(&found), ["CHG-001"]);
    assert_eq!(found.decision.refusal_class(), Some(Class::Refused));
    assert_eq!(found.problems[0].expected, "**Breaking:** `GET /payouts` no longer returns `fax`");
    assert_eq!(
        found.problems[0].line,
        Some(altered.lines().position(|line| line.contains("improves")).unwrap() + 1)
    );
    // Writing again keeps it, and says so; --restore puts it back.
    let kept = update(&parsed(&altered), &target, &wanted(&facts())).unwrap();
    assert_eq!(kept.changelog.to_string(), altered);
    assert_eq!(kept.notes[0].kind, NoteKind::Altered);
    let restored = written(&altered, &target, &Update { restore: true, ..wanted(&facts()) });
    assert_eq!(restored, text);

    // Whoever corrects the sum, too, is found by the evidence.
    let marker_sum = |text: &str| marker::sum(text);
    let forged = altered.replace(
        &marker_sum("**Breaking:** `GET /payouts` no longer returns `fax`"),
        &marker_sum("**Breaking:** `GET /payouts` improves `fax`"),
    );
    assert_eq!(codes(&checked(&forged, &name, &facts())), ["CHG-001"]);
    // Other sections are held by their own marks.
    assert_eq!(codes(&checked(&altered, &Name::Version(version("3.0.0")), &after("2.0.0")))[0], "CHG-001");
}

#[test]
fn a_break_that_is_left_out_is_found() {
    let target = released("2.0.0");
    let text = written("", &target, &wanted(&facts()));
    let without = |words: &str, text: &str| -> String {
        text.split_inclusive('\n').filter(|line| !line.contains(words)).collect()
    };
    let broken = without("no longer returns", &text);
    let found = checked(&broken, &target.name(), &facts());
    assert_eq!(codes(&found), ["CHG-003"]);
    let again = update(&parsed(&broken), &target, &wanted(&facts())).unwrap();
    assert_eq!(
        again.notes,
        [Note {
            kind: NoteKind::LeftOut,
            line: "**Breaking:** `GET /payouts` no longer returns `fax`".into()
        }]
    );
    assert_eq!(again.changelog.to_string(), broken);
    let restored = written(&broken, &target, &Update { restore: true, ..wanted(&facts()) });
    assert!(checked(&restored, &target.name(), &facts()).decision.allowed);
    // Also where nothing is released yet: somebody took it out.
    let unreleased = without("no longer returns", &written("", &Target::Unreleased, &wanted(&facts())));
    assert_eq!(codes(&checked(&unreleased, &Name::Unreleased, &facts())), ["CHG-003"]);
    // Other lines may be left out by hand.
    assert!(checked(&without("0007_fax", &text), &target.name(), &facts()).decision.allowed);
}

#[test]
fn an_invented_line_and_a_stale_section_are_found() {
    let target = released("2.0.0");
    let text = written("", &target, &wanted(&facts()));
    let invented = text.replace(
        "### API\n\n",
        &format!(
            "### API\n\n- `GET /x` is safe <!-- plimsoll api 0123456789ab.{} API-1 #/x -->\n",
            marker::sum("`GET /x` is safe")
        ),
    );
    assert_eq!(codes(&checked(&invented, &target.name(), &facts())), ["CHG-002"]);
    let fewer = Facts { commits: Lookup::Found(commits(&["perf: faster"])), ..facts() };
    let stale = written("", &target, &wanted(&Facts { api: Lookup::Absent, ..fewer.clone() }));
    let found = checked(&stale, &target.name(), &fewer);
    assert_eq!(codes(&found), ["CHG-003"]);
    // What is not released yet may be behind.
    let stale = written("", &Target::Unreleased, &wanted(&Facts { api: Lookup::Absent, ..fewer.clone() }));
    let found = checked(&stale, &Name::Unreleased, &fewer);
    assert_eq!(codes(&found), ["CHG-004"]);
    assert!(found.decision.allowed);
    let unknown = BTreeMap::from([(Source::Api, "line 3: not JSON".to_owned())]);
    let found = verify(&parsed(&text), &target.name(), &entries(&fewer, Others::Changed), &unknown);
    assert_eq!(found.decision.refusal_class(), Some(Class::Outside));
}

#[test]
fn a_line_that_a_person_wrote_first_is_taken_for_it() {
    let text = "## [Unreleased]\n\n### Fixed\n\n* Round half\n  to even\n";
    let written = written(text, &Target::Unreleased, &wanted(&facts()));
    assert_eq!(shown(&written).matches("Round half").count(), 1, "{written}");
    assert!(written.contains("* Round half\n  to even <!-- plimsoll commit"));
}

mod random;
