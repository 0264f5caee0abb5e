//! VER-031 `already-released`.

use plimsoll_model::Page;
use semver::Version;

use super::{Judge, Judgement, Rule, compare};
use crate::check::Claim;
use crate::facts::Facts;

pub(super) const PAGE: Page = Page {
    code: "VER-031",
    name: "already-released",
    what: "The version was not released before, from another commit. Build metadata (`+…`) does not make another version.",
    why: "Two images under one version cannot be told apart, and whoever has the first never gets the second.",
    how: "Release the version that `plimsoll version next` prints. A version tag is never moved.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Claim(judge) };

fn judge(claim: &Claim<'_>) -> Option<Judgement> {
    let version = claim.proposed.found()?;
    let expected = "a version that was not released before";
    let earlier = claim.facts.released.iter().find(|released| {
        released.version.cmp_precedence(version).is_eq() && released.commit != claim.facts.commit
    });
    let Some(earlier) = earlier else { return compare(expected, version.to_string()).pass() };
    let found = format!("{version} is {} of commit {}", earlier.name, earlier.commit.short());
    let least = claim.next.version.as_ref().map_or(String::new(), |least| format!(" {least} or later"));
    compare(expected, found).refuse(format!("call it{least}; `plimsoll version next` says why"))
}

/// The number that should come next belongs to another line of releases.
pub(super) fn taken(facts: &Facts, taken: &Version, target: &Version) -> String {
    let on = facts.released.iter().find(|released| released.version == *taken);
    let on = on.map_or(String::new(), |released| {
        format!(" ({}, commit {})", released.name, released.commit.short())
    });
    format!("{taken} would be next, but it is released on another line{on}; {target} is free")
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::rules::testing::{after, assert_claim, assert_next, released, sha};

    #[test]
    fn a_version_is_released_once() {
        let mut facts = after("1.2.3");
        for version in ["1.2.3", "1.2.3+build.7"] {
            assert_claim(&facts, Some(version), PAGE.code, Outcome::Fail, Some(Class::Refused));
        }
        assert_claim(&facts, Some("1.2.4"), PAGE.code, Outcome::Pass, None);
        // The very commit may be asked about again.
        facts.released[0].commit = sha(9);
        assert_claim(&facts, Some("1.2.3"), PAGE.code, Outcome::Pass, None);
    }

    #[test]
    fn the_next_number_may_belong_to_another_line() {
        let mut facts = after("1.2.3");
        facts.released.push(released("1.2.4"));
        assert_next(&facts, PAGE.code, "1.2.5");
    }
}
