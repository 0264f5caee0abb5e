//! VER-021 `break-not-seen`.

use plimsoll_model::Page;

use super::commit_break::of;
use super::{Judge, Rule};
use crate::facts::{ApiLevel, Facts};
use crate::level::Meaning;

pub(super) const PAGE: Page = Page {
    code: "VER-021",
    name: "break-not-seen",
    what: "A commit says that it breaks something, and neither the comparison of the API nor the migrations show a break. \
           The commit is believed all the same: it raises the version.",
    why: "Behaviour may break without a change of the document. It may also be a slip, and a major version costs every \
          client a look.",
    how: "Read the commit. If it breaks nothing, revert it and commit it again without the mark.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Contradiction(judge) };

fn judge(facts: &Facts, _: Meaning) -> Option<String> {
    let commits = of(facts.commits.found()?, Meaning::Break);
    let first = commits.first()?;
    // Without a comparison there is nothing that could contradict.
    let unbroken = facts.api.found()?.level != Some(ApiLevel::Breaking);
    let taken = facts.schema.found().is_some_and(|schema| schema.steps.iter().any(crate::SchemaStep::breaks));
    (unbroken && !taken).then(|| {
        format!(
            "commit {} says that it breaks something, and the comparison of the API shows no break; \
             it raises the version all the same, since a document does not show behaviour",
            first.cited()
        )
    })
}

#[cfg(test)]
mod tests {
    use plimsoll_model::Lookup;

    use super::*;
    use crate::facts::StepClass;
    use crate::rules::testing::{after, api, assert_next, assert_silent, commits, schema};

    #[test]
    fn a_break_without_evidence_is_named_and_counts() {
        let facts = Facts { commits: Lookup::Found(commits(&["feat!: new ids"])), ..after("1.2.3") };
        assert_next(&facts, PAGE.code, "2.0.0");
        assert_silent(&Facts { api: api(ApiLevel::Breaking), ..facts.clone() }, PAGE.code);
        assert_silent(&Facts { schema: schema(StepClass::Contract), ..facts.clone() }, PAGE.code);
        assert_silent(&Facts { api: Lookup::Absent, ..facts.clone() }, PAGE.code);
        assert_silent(&Facts { api: Lookup::Unknown("no".into()), ..facts }, PAGE.code);
    }
}
