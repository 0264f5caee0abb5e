//! MIG-054 `column-renamed`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;
use crate::context::Use;
use crate::name::quoted;

rule! {
    code: "MIG-054",
    name: "column-renamed",
    severity: Error,
    what: "A column in use is renamed.",
    why: "Released code fails at its next query, and the new code fails until the migration ran: there is no \
           moment at which both work.",
    how: "Add the new column, keep both alike by a trigger, backfill, switch the code, drop the old one in a \
           later release.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "ALTER TABLE users RENAME COLUMN email TO mail;",
    near: "ALTER TABLE users ADD COLUMN x int; ALTER TABLE users RENAME COLUMN x TO y;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::RenameColumn { table, column, to } = action else { return None };
    if !cx.column_in_use(table, column) || cx.used(table, Some(column)) == Use::Nobody {
        return None;
    }
    let written =
        cx.schema.column(table, column).map_or_else(|| "…".into(), |found| found.sql_type.to_string());
    Some(Said::new(
        format!("released code that names `{table}.{column}` fails once it is called `{to}`"),
        format!(
            "ALTER TABLE {} ADD COLUMN {} {written};  -- keep both alike by a trigger, backfill, switch the code, drop the old one",
            table.sql(),
            quoted(to)
        ),
    ))
}
