//! VER-011 `commit-addition`.

use plimsoll_model::Page;

use super::commit_break::of;
use super::{Judge, Rule, Seen, counted};
use crate::facts::Facts;
use crate::level::Meaning;

pub(super) const PAGE: Page = Page {
    code: "VER-011",
    name: "commit-addition",
    what: "A commit says that it adds something (`feat:`), or that it deprecates something. A minor version.",
    why: "Not everything that is new shows in the API's document.",
    how: "Release the version that `plimsoll version next` prints.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Reason(judge) };

fn judge(facts: &Facts) -> Option<Seen> {
    let commits = of(facts.commits.found()?, Meaning::Addition);
    let says = if commits.len() == 1 { "says" } else { "say" };
    (!commits.is_empty()).then(|| Seen {
        meaning: Meaning::Addition,
        message: format!("{} {says} to add something", counted(commits.len(), "commit")),
        evidence: commits.iter().map(|commit| commit.cited()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use plimsoll_model::Lookup;

    use super::*;
    use crate::rules::testing::{after, assert_next, assert_silent, commits};

    #[test]
    fn a_feature_moves_the_second_number() {
        for (previous, expected) in [("0.4.2", "0.5.0"), ("1.2.3", "1.3.0")] {
            let commits = Lookup::Found(commits(&["fix: a", "feat: b"]));
            assert_next(&Facts { commits, ..after(previous) }, PAGE.code, expected);
        }
        assert_silent(&after("1.2.3"), PAGE.code);
    }
}
