//! VER-007 `dependencies-changed`.

use plimsoll_model::Page;

use super::{Judge, Rule, Seen};
use crate::facts::{Dependency, Facts};
use crate::level::Meaning;

pub(super) const PAGE: Page = Page {
    code: "VER-007",
    name: "dependencies-changed",
    what: "The release contains other dependencies than the one before: added, removed, or in another version. A patch \
           version by itself: what they change for clients shows in the API.",
    why: "An upgrade is the most frequent cause of a regression that no commit message names.",
    how: "Release the version that `plimsoll version next` prints; `plimsoll sbom diff OLD NEW` shows each dependency.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Reason(judge) };

fn judge(facts: &Facts) -> Option<Seen> {
    let changes = &facts.dependencies.found()?.changes;
    (!changes.is_empty()).then(|| Seen {
        meaning: Meaning::Fix,
        message: format!(
            "{} changed",
            if changes.len() == 1 {
                "1 dependency".into()
            } else {
                format!("{} dependencies", changes.len())
            }
        ),
        evidence: changes.iter().map(cite).collect(),
    })
}

fn cite(change: &Dependency) -> String {
    match (&change.from, &change.to) {
        (Some(from), Some(to)) => format!("{} {from} -> {to}", change.package),
        (None, Some(to)) => format!("{} {to} added", change.package),
        (Some(from), None) => format!("{} {from} removed", change.package),
        (None, None) => format!("{} changed", change.package),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::Lookup;

    use super::*;
    use crate::facts::{DependencyChange, DependencyEvidence};
    use crate::rules::testing::{after, assert_next};

    #[test]
    fn an_upgrade_is_a_patch() {
        let change = Dependency {
            package: "pkg:cargo/serde".into(),
            change: DependencyChange::Upgraded,
            from: Some("1.0.0".into()),
            to: Some("2.0.0".into()),
        };
        assert_eq!(cite(&change), "pkg:cargo/serde 1.0.0 -> 2.0.0");
        let dependencies =
            Lookup::Found(DependencyEvidence { changes: vec![change], ..DependencyEvidence::default() });
        let facts = Facts { dependencies, commits: Lookup::Found(Vec::new()), ..after("1.2.3") };
        assert_next(&facts, PAGE.code, "1.2.4");
    }
}
