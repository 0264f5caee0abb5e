//! VER-005 `schema-addition`.

use plimsoll_model::Page;

use super::{Judge, Rule, Seen, counted};
use crate::facts::{Facts, StepClass};
use crate::level::Meaning;

pub(super) const PAGE: Page = Page {
    code: "VER-005",
    name: "schema-addition",
    what: "A migration of this release adds to the database: an expand step. A minor version.",
    why: "Who goes back to a release before it meets a database that has more than it knows; who shares the database can \
          use more.",
    how: "Release the version that `plimsoll version next` prints; `plimsoll migrate lint` shows each step.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Reason(judge) };

fn judge(facts: &Facts) -> Option<Seen> {
    let steps =
        facts.schema.found()?.steps.iter().filter(|step| step.class == StepClass::Expand && !step.breaks());
    let files: Vec<String> = steps.map(|step| format!("{}: {}", step.file, step.class)).collect();
    (!files.is_empty()).then(|| Seen {
        meaning: Meaning::Addition,
        message: format!(
            "{} to the database",
            if files.len() == 1 {
                "1 migration adds".into()
            } else {
                format!("{} add", counted(files.len(), "migration"))
            }
        ),
        evidence: files,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{after, assert_next, assert_silent, schema};

    #[test]
    fn an_expand_step_adds() {
        for (previous, expected) in [("0.4.2", "0.5.0"), ("1.2.3", "1.3.0")] {
            assert_next(&Facts { schema: schema(StepClass::Expand), ..after(previous) }, PAGE.code, expected);
        }
        assert_silent(&Facts { schema: schema(StepClass::Backfill), ..after("1.2.3") }, PAGE.code);
    }
}
