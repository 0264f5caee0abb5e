//! MIG-205 `contract-step-waits`.

use plimsoll_model::Page;
use plimsoll_model::event::RolloutKind;

use super::{Judgement, Rule, compare, first_few};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "MIG-205",
    name: "contract-step-waits",
    what: "A migration of the release takes away what a release needs that runs, or that one may go back to \
           (`[migrations] rollback_window`), or whose backfill is not finished. It is not run now; a later deployment runs \
           it once that is over (MIG-2). A Job that runs whatever the image has runs it all the same, where somebody approved \
           that (MIG-202).",
    why: "The order is add, copy, switch, drop: the drop comes when nobody is left who needs what is dropped.",
    how: "Nothing is to be done but to deploy on. `plimsoll migrate plan` shows what waits for whom. A release that has \
          stopped using a column says so in its `[migrations] unused`.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let schema = facts.schema.as_ref()?;
    if facts.request.rollout == RolloutKind::Rollback {
        return None;
    }
    let waiting: Vec<String> = schema
        .pending
        .iter()
        .filter_map(|file| Some(format!("{}: {}", file.path, file.held.as_ref()?)))
        .collect();
    if waiting.is_empty() {
        return None;
    }
    let compared = compare("no migration that has to wait", first_few(&waiting));
    if schema.runs_all() {
        return compared.warn(
            "the Job runs them with this deployment all the same, since it runs whatever the image has; MIG-202 says how \
             to let them wait",
        );
    }
    compared.warn("the deployment goes on without it; a later one runs it; `plimsoll migrate plan` shows for whom it waits")
}

#[cfg(test)]
mod tests {
    use plimsoll_model::Outcome;

    use super::*;
    use crate::policy::tests::{assert_check, good, with_schema};

    #[test]
    fn it_is_visible() {
        let facts = with_schema(good(), |schema| {
            schema.pending[0].held = Some("89abcdef0123 needs `users.fax`".into());
        });
        assert_check(&facts, PAGE.code, Outcome::Warn, None);
        let by_job = |only_listed| {
            let mut facts = facts.clone();
            if let Some(schema) = &mut facts.schema {
                schema.job = Some(crate::MigrationsJobFacts { only_listed });
            }
            judge(&facts).map(|judgement| judgement.hint).unwrap_or_default()
        };
        assert!(by_job(true).contains("the deployment goes on without it"), "{}", by_job(true));
        assert!(by_job(false).contains("the Job runs them"), "{}", by_job(false));
    }
}
