//! VER-012 `commit-fix`.

use plimsoll_model::Page;

use super::commit_break::of;
use super::{Judge, Rule, Seen, counted};
use crate::facts::Facts;
use crate::level::Meaning;

pub(super) const PAGE: Page = Page {
    code: "VER-012",
    name: "commit-fix",
    what: "There are commits that neither add nor break anything by their own word: `fix:`, `perf:`, `docs:`, `chore:`, \
           and those that are no conventional commits. A patch version.",
    why: "Another commit is another image; two images under one version cannot be told apart.",
    how: "Release the version that `plimsoll version next` prints.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Reason(judge) };

fn judge(facts: &Facts) -> Option<Seen> {
    let commits = of(facts.commits.found()?, Meaning::Fix);
    let verbs = if commits.len() == 1 { "adds nor breaks" } else { "add nor break" };
    (!commits.is_empty()).then(|| Seen {
        meaning: Meaning::Fix,
        message: format!(
            "{} that neither {verbs} anything, as far as the message says",
            counted(commits.len(), "commit")
        ),
        evidence: commits.iter().map(|commit| commit.cited()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use plimsoll_model::Lookup;

    use super::*;
    use crate::next::next;
    use crate::rules::testing::{after, assert_next, commits, version};

    #[test]
    fn anything_else_is_a_patch() {
        for message in ["fix: a", "docs: a", "Words"] {
            let commits = Lookup::Found(commits(&[message]));
            assert_next(&Facts { commits, ..after("1.2.3") }, PAGE.code, "1.2.4");
        }
        let nothing = Facts { commits: Lookup::Found(Vec::new()), ..after("1.2.3") };
        assert_eq!(next(&nothing).version, Some(version("1.2.3")));
    }
}
