//! MIG-012 `set-not-null-scans`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;
use crate::name::quoted;

rule! {
    code: "MIG-012",
    name: "set-not-null-scans",
    severity: Error,
    what: "A column of a table in use becomes NOT NULL without a validated check that proves it.",
    why: "PostgreSQL reads the whole table under ACCESS EXCLUSIVE to see that there is no null: reads and \
           writes wait.",
    how: "Add a check as NOT VALID, validate it in a transaction of its own, then SET NOT NULL (PostgreSQL \
           12 trusts the check) and drop the check.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "ALTER TABLE users ALTER COLUMN email SET NOT NULL;",
    near: "-- no-transaction\nALTER TABLE users ADD CONSTRAINT c CHECK (email IS NOT NULL) NOT VALID; ALTER \
           TABLE users VALIDATE CONSTRAINT c; ALTER TABLE users ALTER COLUMN email SET NOT NULL;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::SetNotNull { table, column } = action else { return None };
    let known = cx.schema.relation(table);
    let needless = known.is_some_and(|relation| relation.proves_not_null(column))
        || cx.schema.column(table, column).is_some_and(|found| found.not_null);
    if !cx.large(table) || needless {
        return None;
    }
    let (on, name) = (table.sql(), quoted(column));
    let check = quoted(&format!("{}_{column}_not_null", table.name));
    Some(Said::new(
        format!("SET NOT NULL on `{table}.{column}` reads the whole table under ACCESS EXCLUSIVE"),
        format!(
            "ALTER TABLE {on} ADD CONSTRAINT {check} CHECK ({name} IS NOT NULL) NOT VALID;\n\
             -- in a later transaction:\nALTER TABLE {on} VALIDATE CONSTRAINT {check};\n\
             ALTER TABLE {on} ALTER COLUMN {name} SET NOT NULL;\nALTER TABLE {on} DROP CONSTRAINT {check};"
        ),
    ))
}
