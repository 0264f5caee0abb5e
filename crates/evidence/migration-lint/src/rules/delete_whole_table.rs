//! MIG-061 `delete-of-whole-table`.

use super::{Said, rule};
use crate::action::Action;
use crate::action::Filter;
use crate::context::Context;

rule! {
    code: "MIG-061",
    name: "delete-of-whole-table",
    severity: Warning,
    what: "A DELETE without WHERE on a table in use.",
    why: "Every row goes, while released code reads and writes them; all of them stay locked until the \
           transaction ends.",
    how: "Say which rows in WHERE, or delete them in batches by a backfill.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "DELETE FROM users;",
    near: "DELETE FROM users WHERE age < 0;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::Delete { table, filter: Filter::None, joined: false } = action else { return None };
    if !cx.in_use(table)
        || cx.statement.backfill.is_some()
        || cx.options.small_tables.contains(&table.to_string())
    {
        return None;
    }
    Some(Said::new(
        format!("every row of `{table}` is deleted while released code uses them"),
        format!(
            "DELETE FROM {} WHERE …;  -- or in batches: -- plimsoll: backfill table={table} key=id batch=1000",
            table.sql()
        ),
    ))
}
