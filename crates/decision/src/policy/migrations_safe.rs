//! MIG-201 `migrations-safe`.

use plimsoll_model::Page;
use plimsoll_model::event::RolloutKind;

use super::{Judgement, Rule, compare, first_few};
use crate::{Facts, PendingMigration};

pub(super) const PAGE: Page = Page {
    code: "MIG-201",
    name: "migrations-safe",
    what: "No migration that this deployment would run has a finding that is an error: a long lock, a rewrite of a table in \
           use, a change that breaks the code that runs (MIG-1). Contract steps that have to wait are not run and not \
           counted here (MIG-205), unless a Job runs them all the same.",
    why: "A migration that waits for a lock lets every query of the table wait behind it.",
    how: "`plimsoll migrate lint` shows each finding with the lines to write instead. One that is harmless in this place is \
          taken back in the file: `-- plimsoll: allow CODE REASON`.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let schema = facts.schema.as_ref()?;
    if facts.request.rollout == RolloutKind::Rollback || schema.running().next().is_none() {
        return None;
    }
    let errors: Vec<String> = schema
        .running()
        .flat_map(|file| file.errors.iter().map(move |error| format!("{}: {error}", file.path)))
        .collect();
    let named = |file: &PendingMigration| match &file.held {
        Some(_) => format!("{} ({}, although it has to wait)", file.path, file.class),
        None => format!("{} ({})", file.path, file.class),
    };
    let files: Vec<String> = schema.running().map(named).collect();
    if errors.is_empty() {
        return compare("migrations without errors", first_few(&files)).pass();
    }
    compare("migrations without errors", first_few(&errors))
        .refuse("nothing was touched; `plimsoll migrate lint` shows the lines to write instead")
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::decide;
    use crate::policy::tests::{assert_check, good, good_rollback, with_schema};

    #[test]
    fn an_error_refuses_unless_its_file_waits() {
        assert_check(&with_schema(good(), |_| {}), PAGE.code, Outcome::Pass, None);
        let locked = |schema: &mut crate::SchemaFacts| {
            schema.pending[0].errors.push("MIG-030 line 1: writes to `users` wait".into());
        };
        assert_check(&with_schema(good(), locked), PAGE.code, Outcome::Fail, Some(Class::Refused));
        let waits = with_schema(good(), |schema| {
            locked(schema);
            schema.pending[0].held = Some("89abcdef0123 needs `users.fax`".into());
        });
        assert!(!decide(&waits).decision.checks.iter().any(|check| check.code == PAGE.code));
        // A Job that runs whatever the image has makes nothing wait.
        let job = |only_listed| Some(crate::MigrationsJobFacts { only_listed });
        let runs = |only_listed: bool, error: bool| {
            with_schema(good(), |schema| {
                schema.job = job(only_listed);
                schema.pending[0].held = Some("89abcdef0123 needs `users.fax`".into());
                if error {
                    locked(schema);
                }
            })
        };
        assert_check(&runs(false, true), PAGE.code, Outcome::Fail, Some(Class::Refused));
        assert!(!decide(&runs(true, true)).decision.checks.iter().any(|check| check.code == PAGE.code));
        let verdict = decide(&runs(false, false));
        let found = verdict.decision.checks.iter().find(|check| check.code == PAGE.code);
        assert_eq!(
            found.map(|check| check.found.as_str()),
            Some("0002_email.sql (expand, although it has to wait)")
        );
        let rollback = with_schema(good_rollback(), locked);
        assert!(decide(&rollback).decision.allowed);
    }
}
