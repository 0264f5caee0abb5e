//! MIG-057 `backfill-not-finished`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;

rule! {
    code: "MIG-057",
    name: "backfill-not-finished",
    severity: Error,
    what: "A column or table is dropped, or a column made NOT NULL, while a declared backfill of that table \
           is not proven to be finished.",
    why: "Rows that were not copied yet are lost, or the statement fails on them.",
    how: "Run `plimsoll migrate backfill` to its end; its proof is what this rule asks for.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "-- plimsoll: backfill table=users key=id batch=1000\nUPDATE users SET name = email WHERE name = \
           '';\nALTER TABLE users DROP COLUMN email;",
    near: "ALTER TABLE users DROP COLUMN email;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let table = match action {
        Action::DropColumn { table, .. } | Action::SetNotNull { table, .. } => table,
        Action::DropRelation { name, .. } => name,
        _ => return None,
    };
    let backfill = cx.open_backfill(table)?;
    Some(Said::new(
        format!("the backfill `{}` of `{table}` is not proven to be finished", backfill.name),
        "run it first: `plimsoll migrate backfill`; and keep this statement for a later release",
    ))
}
