//! VER-008 `advisory-resolved`.

use plimsoll_model::Page;

use super::{Judge, Rule, Seen, counted};
use crate::facts::{Advisory, Facts};
use crate::level::Meaning;

pub(super) const PAGE: Page = Page {
    code: "VER-008",
    name: "advisory-resolved",
    what: "A published advisory affected a component of the previous release and affects none of this one. A patch \
           version.",
    why: "Those who wait for the fix look for a release that says so.",
    how: "Release the version that `plimsoll version next` prints, soon; `plimsoll sbom diff OLD NEW` shows the advisories.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Reason(judge) };

fn judge(facts: &Facts) -> Option<Seen> {
    let vanished = facts.dependencies.found()?.vanished.found()?;
    (!vanished.is_empty()).then(|| Seen {
        meaning: Meaning::Fix,
        message: format!(
            "{} resolved",
            if vanished.len() == 1 { "1 advisory".into() } else { counted(vanished.len(), "advisorie") }
        ),
        evidence: cite(vanished),
    })
}

/// Id, severity and component of each.
pub(super) fn cite(advisories: &[Advisory]) -> Vec<String> {
    advisories.iter().map(|one| format!("{} ({}) in {}", one.id, one.severity, one.package)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use plimsoll_model::Lookup;

    use super::*;
    use crate::facts::DependencyEvidence;
    use crate::rules::testing::{after, assert_next, assert_silent};

    pub(in crate::rules) fn advisory() -> Advisory {
        Advisory {
            id: "RUSTSEC-2026-0001".into(),
            aliases: vec!["CVE-2026-0001".into()],
            package: "pkg:cargo/example@1.0.0".into(),
            severity: "high".into(),
            summary: "Reads past the end".into(),
        }
    }

    #[test]
    fn a_resolved_advisory_is_a_patch() {
        let evidence =
            DependencyEvidence { vanished: Lookup::Found(vec![advisory()]), ..DependencyEvidence::default() };
        let facts = Facts {
            dependencies: Lookup::Found(evidence),
            commits: Lookup::Found(Vec::new()),
            ..after("1.2.3")
        };
        assert_next(&facts, PAGE.code, "1.2.4");
        assert_silent(&after("1.2.3"), PAGE.code);
    }
}
