//! MIG-063 `table-truncated`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;

rule! {
    code: "MIG-063",
    name: "table-truncated",
    severity: Error,
    what: "TRUNCATE of a table in use.",
    why: "All rows are gone, also for released code, and reads and writes wait for it (ACCESS EXCLUSIVE).",
    how: "Delete the rows that must go, with WHERE, or drop the table once no code uses it.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "TRUNCATE users;",
    near: "CREATE TABLE t (a int); TRUNCATE t;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::Truncate { tables, .. } = action else { return None };
    let table = tables.iter().find(|table| cx.in_use(table))?;
    if cx.options.small_tables.contains(&table.to_string()) {
        return None;
    }
    Some(Said::new(
        format!("all rows of `{table}` are gone, also for released code"),
        format!("DELETE FROM {} WHERE …;", table.sql()),
    ))
}
