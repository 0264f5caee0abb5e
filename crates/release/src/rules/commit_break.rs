//! VER-010 `commit-break`.

use plimsoll_model::Page;

use super::{Judge, Rule, Seen, counted};
use crate::commits::CommitFacts;
use crate::facts::Facts;
use crate::level::Meaning;

pub(super) const PAGE: Page = Page {
    code: "VER-010",
    name: "commit-break",
    what: "A commit says that it breaks something: `feat!:` or a footer `BREAKING CHANGE: …`. From 1.0 a major version, \
           before 1.0 a minor one; also where the comparison of the API sees no break.",
    why: "A document does not show behaviour. Who wrote the change knows more than any comparison, in this direction.",
    how: "Release the version that `plimsoll version next` prints. If the commit is wrong, revert it and commit it again: \
          a revert in the same release cancels what it reverts.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Reason(judge) };

fn judge(facts: &Facts) -> Option<Seen> {
    let commits = of(facts.commits.found()?, Meaning::Break);
    let first = commits.first()?;
    let says = if commits.len() == 1 { "says" } else { "say" };
    Some(Seen {
        meaning: Meaning::Break,
        message: format!(
            "{} {says} to break: {}",
            counted(commits.len(), "commit"),
            first.breaking.join("; ")
        ),
        evidence: commits.iter().map(|commit| commit.cited()).collect(),
    })
}

/// The changes that mean so much.
pub(super) fn of(commits: &[CommitFacts], meaning: Meaning) -> Vec<&CommitFacts> {
    commits.iter().filter(|commit| commit.level() == meaning).collect()
}

#[cfg(test)]
mod tests {
    use plimsoll_model::Lookup;

    use super::*;
    use crate::rules::testing::{after, assert_next, assert_silent, commits};

    #[test]
    fn a_commit_may_say_more_than_the_evidence() {
        for message in ["feat!: new ids", "chore: x\n\nBREAKING CHANGE: new ids"] {
            for (previous, expected) in [("0.4.2", "0.5.0"), ("1.2.3", "2.0.0")] {
                let commits = Lookup::Found(commits(&["fix: a", message]));
                assert_next(&Facts { commits, ..after(previous) }, PAGE.code, expected);
            }
        }
        assert_silent(&after("1.2.3"), PAGE.code);
    }
}
