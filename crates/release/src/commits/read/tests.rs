//! Messages as people and tools write them.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::level::Meaning;

fn sha(number: usize) -> Commit {
    format!("{number:040x}").parse().unwrap()
}

fn raw(number: usize, message: &str) -> RawCommit {
    RawCommit { sha: sha(number), message: message.into(), merge: false }
}

/// `type(scope)!: description [breaks: …]` of each change; numbers count from the oldest.
fn told(messages: &[&str]) -> Vec<String> {
    let commits: Vec<_> =
        messages.iter().enumerate().map(|(at, message)| raw(messages.len() - at, message)).collect();
    read(&commits).iter().map(shown).collect()
}

fn shown(change: &CommitFacts) -> String {
    let breaks = if change.breaking.is_empty() {
        String::new()
    } else {
        format!(" [{}]", change.breaking.join(" | "))
    };
    let scope = change.scope.as_ref().map(|scope| format!("({scope})")).unwrap_or_default();
    format!("{}{scope}: {}{breaks}", change.type_, change.description)
}

#[test]
fn headers() {
    assert_eq!(
        told(&["feat(api)!: drop fax", "FIX: a", "fix: b (#12)", "perf: c", "Just words", "feat:no blank"]),
        [
            "feat(api): drop fax [drop fax]",
            "fix: a",
            "fix: b (#12)",
            "perf: c",
            ": Just words",
            ": feat:no blank"
        ]
    );
    let kinds = |type_| read(&[raw(1, &format!("{type_}: x"))])[0].kind;
    assert_eq!(kinds("feat"), Kind::Feature);
    assert_eq!(kinds("sec"), Kind::Security);
    assert_eq!(kinds("chore"), Kind::Housekeeping);
    assert_eq!(kinds("perf"), Kind::Change);
    assert_eq!(kinds("polish"), Kind::Other);
    assert_eq!(read(&[raw(1, "deprecate: x")])[0].level(), Meaning::Addition);
    assert_eq!(read(&[raw(1, "words")])[0].level(), Meaning::Fix);
}

#[test]
fn several_breaking_footers() {
    let message = "feat: accounts\n\nMore.\n\nBREAKING CHANGE: `id` is a text,\n  no number\n\
                   BREAKING-CHANGE: `fax` is gone\nRefs: #12\nSigned-off-by: A <a@example.com>\n";
    assert_eq!(told(&[message]), ["feat: accounts [`id` is a text, no number | `fax` is gone]"]);
    // A body that only talks about it is no footer.
    assert_eq!(told(&["fix: x\n\nThis is no BREAKING CHANGE: really\n"]), ["fix: x"]);
    // Also below a subject that is not conventional.
    assert_eq!(told(&["words\n\nBREAKING CHANGE: all of it\n"]), [": words [all of it]"]);
}

#[test]
fn squashed_commits() {
    let of_words = "Accounts (#7)\n\n* feat: list accounts\n\n* fix(db)!: close them\n\n* typo\n";
    assert_eq!(told(&[of_words]), ["feat: list accounts", "fix(db): close them [close them]"]);
    let of_type = "feat: accounts (#7)\n\n* feat: list accounts\n* fix!: close them\n* chore: typo\n";
    assert_eq!(told(&[of_type]), ["feat: accounts (#7)", "fix: close them [close them]"]);
}

#[test]
fn merges_are_what_they_merge() {
    let merge = |message: &str| RawCommit { merge: true, ..raw(9, message) };
    assert!(read(&[merge("Merge branch 'x'")]).is_empty());
    assert!(read(&[merge("Merge pull request #1 from a/b\n\nfeat: title")]).is_empty());
    let breaking = merge("Merge pull request #1 from a/b\n\nfeat!: title");
    assert_eq!(shown(&read(&[breaking])[0]), "feat: title [title]");
    let footer = merge("Merge branch 'x'\n\nTitle\n\nBREAKING CHANGE: gone");
    assert_eq!(shown(&read(&[footer])[0]), ": Title [gone]");
    assert!(read(&[raw(1, "Merge branch 'main' into x")]).is_empty());
}

#[test]
fn what_was_reverted_did_not_happen() {
    let revert = |number| format!("Revert \"feat: b\"\n\nThis reverts commit {}.\n", sha(number));
    assert_eq!(told(&[&revert(2), "feat: b", "fix: a"]), ["fix: a"]);
    // By name of the subject where git's sentence is missing, and in the conventional form.
    assert_eq!(told(&["Revert \"feat: b\"", "feat: b", "fix: a"]), ["fix: a"]);
    let named = format!("revert: feat: b\n\nRefs: {}", sha(1));
    assert!(told(&[&named, "feat: b"]).is_empty());
    assert_eq!(told(&["revert: feat: b", "feat: b", "fix: a"]), ["fix: a"]);
    // Reverted and taken back in: it happened.
    let again = format!("Revert \"Revert \"feat: b\"\"\n\nThis reverts commit {}.\n", sha(3));
    assert_eq!(told(&[&again, &revert(2), "feat: b", "fix: a"]), ["feat: b", "fix: a"]);
    // Something older: a change.
    let older = format!("Revert \"feat: z\"\n\nThis reverts commit {}.\n", sha(77));
    assert_eq!(told(&[&older]), [": Revert \"feat: z\""]);
}

#[test]
fn duplicates_are_one_change() {
    assert_eq!(
        told(&["feat!: a (#3)", "feat: A\n\nBREAKING CHANGE: gone", "feat(x): a", "fix: a"]),
        ["feat: a (#3) [a (#3) | gone]", "feat(x): a", "fix: a"]
    );
}

#[test]
fn hostile_messages_are_bounded() {
    let long = "x".repeat(1 << 20);
    for message in [
        format!("feat: {long}"),
        format!("feat({long}): a"),
        format!("a\n\n{}", "* feat: b\n".repeat(100_000)),
        format!("a\n\nBREAKING CHANGE: {long}"),
        "\0\u{1b}[31mfeat: a\u{7}".to_owned(),
        String::new(),
        "\n\n".into(),
        "Revert \"".into(),
        "ü".repeat(40_000),
    ] {
        let changes = read(&[raw(1, &message)]);
        assert!(changes.len() <= 201);
        for change in &changes {
            assert!(change.description.chars().count() <= 301);
            assert!(!change.description.contains(char::is_control), "{:?}", change.description);
        }
    }
    // 20,000 reverts of one another take no time.
    let many: Vec<_> = (1..20_000)
        .rev()
        .map(|at| raw(at, &format!("Revert \"x\"\n\nThis reverts commit {}.", sha(at - 1))))
        .collect();
    read(&many);
}
