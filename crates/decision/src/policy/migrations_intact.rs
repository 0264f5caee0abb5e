//! MIG-202 `migrations-intact`.

use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Lookup, Page};

use super::{Judgement, Rule, compare, first_few};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "MIG-202",
    name: "migrations-intact",
    what: "The database can be asked which migrations ran, those are what the release has under these names (line ends \
           aside), and nothing keeps the next ones from being run (MIG-2). Where a Job of the cluster runs them, the database \
           is not asked: the ledger has what the Jobs that ended well were told.",
    why: "A migration that was edited after it ran describes a schema that no database has.",
    how: "`plimsoll migrate status` shows each migration with its state and what to do. Undo the edit and write a new \
          migration instead. `plimsoll doctor` checks the database.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let schema = facts.schema.as_ref()?;
    let expected = "a database whose migrations are those of the release";
    let rollback = facts.request.rollout == RolloutKind::Rollback;
    let status = match schema.job {
        Some(_) => format!("`plimsoll migrate status --env {}`", facts.request.environment),
        None => "`plimsoll migrate status`".to_owned(),
    };
    match &schema.database {
        Lookup::Unknown(why) | Lookup::Invalid(why) if rollback => {
            return compare(expected, format!("unknown: {why}")).warn(
                "going back runs no migration and does not wait for the database; what is recorded decides",
            );
        }
        Lookup::Unknown(why) | Lookup::Invalid(why) => {
            return compare(expected, format!("unknown: {why}"))
                .unknown(format!("nothing was touched; check the database with {status}"));
        }
        Lookup::Absent | Lookup::Found(_) => {}
    }
    if rollback {
        return None;
    }
    if !schema.edited.is_empty() {
        return compare(expected, format!("edited after they ran: {}", first_few(&schema.edited))).violation(
            format!(
                "nothing was touched; {status} shows both checksums; undo the edit and write a new migration"
            ),
        );
    }
    if !schema.troubles.is_empty() {
        return compare(expected, first_few(&schema.troubles))
            .refuse(format!("nothing was touched; {status} says what to do about each"));
    }
    let found = match (&schema.database, schema.running().count()) {
        (Lookup::Absent, some) if schema.job.is_some() => {
            format!("{some} for the Job to run; what ran is taken from the ledger, the database is not asked")
        }
        (Lookup::Absent, _) => "no `[migrations] database`: what ran is taken from the releases".to_owned(),
        (_, 0) => "nothing to run".to_owned(),
        (_, 1) => "1 migration to run".to_owned(),
        (_, some) => format!("{some} migrations to run"),
    };
    compare(expected, found).pass()
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::policy::tests::{assert_check, good, good_rollback, with_schema};

    #[test]
    fn an_edit_is_a_violation_and_silence_no_verdict() {
        assert_check(&with_schema(good(), |_| {}), PAGE.code, Outcome::Pass, None);
        let edited = with_schema(good(), |schema| schema.edited.push("0001_init.sql".into()));
        assert_check(&edited, PAGE.code, Outcome::Fail, Some(Class::Integrity));
        let trouble =
            with_schema(good(), |schema| schema.troubles.push("0001_init.sql is out of order".into()));
        assert_check(&trouble, PAGE.code, Outcome::Fail, Some(Class::Refused));
        let down = |schema: &mut crate::SchemaFacts| schema.database = Lookup::Unknown("refused".into());
        assert_check(&with_schema(good(), down), PAGE.code, Outcome::Fail, Some(Class::Outside));
    }

    #[test]
    fn where_a_job_runs_them_the_ledger_is_what_is_known() {
        let by_job = |schema: &mut crate::SchemaFacts| {
            schema.database = Lookup::Absent;
            schema.job = Some(crate::MigrationsJobFacts { only_listed: true });
        };
        let of =
            |facts: &Facts| judge(facts).map(|it| format!("{} {}", it.found, it.hint)).unwrap_or_default();
        let said = of(&with_schema(good(), by_job));
        assert!(
            said.contains("1 for the Job to run") && said.contains("the database is not asked"),
            "{said}"
        );
        let edited = with_schema(good(), |schema| {
            by_job(schema);
            schema.edited.push("0001_init.sql".into());
        });
        assert_check(&edited, PAGE.code, Outcome::Fail, Some(Class::Integrity));
        assert!(of(&edited).contains("`plimsoll migrate status --env production`"), "{}", of(&edited));
    }

    /// RBK-1: going back does not wait for the database.
    #[test]
    fn a_rollback_goes_on_while_the_database_is_down() {
        let down = |schema: &mut crate::SchemaFacts| schema.database = Lookup::Unknown("refused".into());
        assert_check(&with_schema(good_rollback(), down), PAGE.code, Outcome::Warn, None);
    }
}
