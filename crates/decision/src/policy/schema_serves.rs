//! MIG-203 `schema-serves`.

use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Lookup, Page};

use super::{Judgement, Rule, compare, first_few};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "MIG-203",
    name: "schema-serves",
    what: "The schema of the database, once the migrations of this deployment have run, gives the release everything that \
           its code needs: tables, columns, types, what may be left out, which rows are allowed (MIG-4, RBK-2). Of a \
           rollback it is the schema of now: a rollback runs no migration.",
    why: "An older release that finds a newer schema fails in ways that no health check sees, and then neither direction \
          works.",
    how: "`plimsoll status --env ENV` shows to which releases one can go back. Go forward with a fix instead, or bring back \
          what is missing with a new, additive migration. Columns that a release does not use are declared in its \
          `[migrations] unused`.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let schema = facts.schema.as_ref()?;
    let rollback = facts.request.rollout == RolloutKind::Rollback;
    let sha = &facts.request.sha;
    let expected = format!("a schema that serves {}", sha.short());
    let environment = &facts.request.environment;
    match &schema.serves {
        Lookup::Found(missing) if missing.is_empty() => compare(expected, "it does").pass(),
        Lookup::Found(missing) if rollback => compare(expected, first_few(missing)).refuse(format!(
            "nothing was touched; `plimsoll status --env {environment}` shows where one can go back to; go forward with a fix, or bring back what is missing"
        )),
        Lookup::Found(missing) => compare(expected, first_few(missing)).refuse(
            "nothing was touched; the release demands a step that has to wait (`plimsoll migrate plan`); release code first that works with both",
        ),
        Lookup::Absent if rollback => compare(expected, "nobody recorded what it needs").warn(
            "whether its code works with the schema of now is for you to know; releases record it from `[migrations]` on",
        ),
        Lookup::Absent => None,
        Lookup::Invalid(why) | Lookup::Unknown(why) if rollback => {
            compare(expected, format!("unknown: {why}"))
                .warn("whether its code works with the schema of now is for you to know")
        }
        Lookup::Invalid(why) | Lookup::Unknown(why) => compare(expected, format!("unknown: {why}"))
            .unknown("nothing was touched; see what is not known with `plimsoll migrate plan`"),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::policy::tests::{assert_check, good, good_rollback, with_schema};

    #[test]
    fn a_rollback_past_a_contract_step_is_refused() {
        let gone = |schema: &mut crate::SchemaFacts| {
            schema.serves = Lookup::Found(vec!["`users.fax` is gone".into()]);
        };
        assert_check(&with_schema(good_rollback(), |_| {}), PAGE.code, Outcome::Pass, None);
        assert_check(&with_schema(good_rollback(), gone), PAGE.code, Outcome::Fail, Some(Class::Refused));
        assert_check(&with_schema(good(), gone), PAGE.code, Outcome::Fail, Some(Class::Refused));
    }

    #[test]
    fn what_is_not_known_stops_a_deployment_and_warns_who_goes_back() {
        let unknown = |schema: &mut crate::SchemaFacts| schema.serves = Lookup::Unknown("no record".into());
        assert_check(&with_schema(good_rollback(), unknown), PAGE.code, Outcome::Warn, None);
        assert_check(&with_schema(good(), unknown), PAGE.code, Outcome::Fail, Some(Class::Outside));
        let never = |schema: &mut crate::SchemaFacts| schema.serves = Lookup::Absent;
        assert_check(&with_schema(good_rollback(), never), PAGE.code, Outcome::Warn, None);
    }
}
