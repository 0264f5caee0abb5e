//! VER-006 `schema-change`.

use plimsoll_model::Page;

use super::{Judge, Rule, Seen, counted};
use crate::facts::{Facts, StepClass};
use crate::level::Meaning;

pub(super) const PAGE: Page = Page {
    code: "VER-006",
    name: "schema-change",
    what: "A migration of this release changes the database and neither adds to it nor takes away from it for others: a \
           backfill, an index, a contract step of a database that nobody shares. A patch version.",
    why: "It runs against production data, so it is part of what the release is.",
    how: "Release the version that `plimsoll version next` prints; `plimsoll migrate lint` shows each step.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Reason(judge) };

fn judge(facts: &Facts) -> Option<Seen> {
    let steps = facts.schema.found()?.steps.iter().filter(|step| match step.class {
        StepClass::Expand => step.breaks() && !facts.shared_database,
        _ => !(step.breaks() && facts.shared_database),
    });
    let files: Vec<String> = steps.map(|step| format!("{}: {}", step.file, step.class)).collect();
    (!files.is_empty()).then(|| Seen {
        meaning: Meaning::Fix,
        message: format!(
            "{} the database",
            if files.len() == 1 {
                "1 migration changes".into()
            } else {
                format!("{} change", counted(files.len(), "migration"))
            }
        ),
        evidence: files,
    })
}

#[cfg(test)]
mod tests {
    use plimsoll_model::Lookup;

    use super::*;
    use crate::rules::testing::{after, assert_next, assert_silent, schema};

    #[test]
    fn a_backfill_is_a_patch() {
        for class in [StepClass::Backfill, StepClass::Unsafe] {
            let facts = Facts { schema: schema(class), commits: Lookup::Found(Vec::new()), ..after("1.2.3") };
            assert_next(&facts, PAGE.code, "1.2.4");
        }
        let private = Facts { schema: schema(StepClass::Contract), shared_database: false, ..after("1.2.3") };
        assert_next(&private, PAGE.code, "1.2.4");
        assert_silent(&Facts { shared_database: true, ..private }, PAGE.code);
    }
}
