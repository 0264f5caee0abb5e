//! MIG-010 `column-required-without-default`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;
use crate::name::quoted;

rule! {
    code: "MIG-010",
    name: "column-required-without-default",
    severity: Error,
    what: "A column that is NOT NULL and has no default is added to a table in use.",
    why: "On a table with rows the statement fails. On an empty one it succeeds, and then every INSERT of \
           the released code fails, since that code does not know the column.",
    how: "Add the column nullable or with a constant default; backfill; make it NOT NULL once all running \
           code fills it.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "ALTER TABLE users ADD COLUMN country text NOT NULL;",
    near: "ALTER TABLE users ADD COLUMN country text NOT NULL DEFAULT 'DE';",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::AddColumn { table, column, .. } = action else { return None };
    if !cx.in_use(table) || cx.schema.column(table, &column.name).is_some() || column.may_be_left_out() {
        return None;
    }
    let (on, name) = (table.sql(), quoted(&column.name));
    Some(Said::new(
        format!(
            "`{}` is NOT NULL without a default: released code that inserts into `{table}` fails",
            column.name
        ),
        format!(
            "ALTER TABLE {on} ADD COLUMN {name} {};  -- nullable first; NOT NULL after the backfill",
            column.sql_type
        ),
    ))
}
