//! VER-004 `schema-break`.

use plimsoll_model::Page;

use super::{Judge, Rule, Seen, counted};
use crate::facts::{Facts, SchemaStep};
use crate::level::Meaning;

pub(super) const PAGE: Page = Page {
    code: "VER-004",
    name: "schema-break",
    what: "A migration of this release takes something away that released code may use: a contract step. For those who \
           share the database (reports, other services) that is a break: a major version, before 1.0 a minor one.",
    why: "The service's own code was changed beforehand; a report that reads the table by itself was not, and nobody \
          tells its owner but the version.",
    how: "`plimsoll migrate lint` shows what is taken away. If nobody else uses the database, say so with \
          `--private-database`: the step then counts as a fix.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Reason(judge) };

fn judge(facts: &Facts) -> Option<Seen> {
    let steps: Vec<&SchemaStep> = facts.schema.found()?.steps.iter().filter(|step| step.breaks()).collect();
    (facts.shared_database && !steps.is_empty()).then(|| Seen {
        meaning: Meaning::Break,
        message: format!("{} away from the database", taking(steps.len())),
        evidence: cite(&steps),
    })
}

fn taking(steps: usize) -> String {
    format!(
        "{} {}",
        counted(steps, "migration"),
        if steps == 1 { "takes something" } else { "take something" }
    )
}

/// File, rule and sentence of each.
pub(super) fn cite(steps: &[&SchemaStep]) -> Vec<String> {
    steps
        .iter()
        .flat_map(|step| {
            let taken =
                step.taken.iter().map(|taken| format!("{} {}: {}", taken.rule, step.file, taken.message));
            let class = step.taken.is_empty().then(|| format!("{}: {}", step.file, step.class));
            taken.chain(class)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::StepClass;
    use crate::rules::testing::{after, assert_next, assert_silent, schema};

    #[test]
    fn a_contract_step_breaks_those_who_share_the_database() {
        for (previous, expected) in [("0.4.2", "0.5.0"), ("1.2.3", "2.0.0")] {
            assert_next(
                &Facts { schema: schema(StepClass::Contract), ..after(previous) },
                PAGE.code,
                expected,
            );
        }
        let private = Facts { schema: schema(StepClass::Contract), shared_database: false, ..after("1.2.3") };
        assert_silent(&private, PAGE.code);
    }
}
