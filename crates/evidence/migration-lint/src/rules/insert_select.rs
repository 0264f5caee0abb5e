//! MIG-062 `table-copied-in-migration`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;

rule! {
    code: "MIG-062",
    name: "table-copied-in-migration",
    severity: Warning,
    what: "INSERT … SELECT copies a whole table in use within a migration.",
    why: "It is one transaction of unknown length: what it writes appears at its end, what it locked stays \
           locked until then, and rows that released code writes meanwhile are missed.",
    how: "Declare a backfill, which runs in batches: `-- plimsoll: backfill table=… key=… batch=…` before \
           the statement.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           ''); CREATE TABLE names (name text);",
    found: "INSERT INTO names SELECT name FROM users;",
    near: "INSERT INTO names SELECT name FROM users WHERE age > 1; INSERT INTO names VALUES ('x');",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::Insert { table, from, narrowed: false } = action else { return None };
    let source = from.iter().find(|source| cx.large(source))?;
    if cx.statement.backfill.is_some() {
        return None;
    }
    Some(Said::new(
        format!("all rows of `{source}` are copied into `{table}` by one statement"),
        format!(
            "-- plimsoll: backfill table={source} key=id batch=1000\n-- before the statement; it then runs in batches"
        ),
    ))
}
