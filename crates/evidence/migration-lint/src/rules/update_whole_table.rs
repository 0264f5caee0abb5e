//! MIG-060 `update-of-whole-table`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;
use crate::effect::whole_table;

rule! {
    code: "MIG-060",
    name: "update-of-whole-table",
    severity: Warning,
    what: "An UPDATE changes every row of a table in use, or fills a new column in all of them, within a \
           migration.",
    why: "All rows stay locked until the transaction ends, the table doubles on disk, replicas fall behind; \
           and the locks that the migration took before are held for as long.",
    how: "Declare a backfill, which runs in batches beside the released code: `-- plimsoll: backfill table=… \
           key=… batch=…` before the statement.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "UPDATE users SET age = 0;",
    near: "UPDATE users SET age = 0 WHERE id = 5;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::Update { table, filter, joined: false } = action else { return None };
    if !cx.large(table) || cx.statement.backfill.is_some() || !whole_table(table, filter, cx) {
        return None;
    }
    let held = match cx.held() {
        Some((_, held, mode)) if cx.in_transaction => {
            format!(", while `{held}` stays locked ({})", mode.sql())
        }
        _ => String::new(),
    };
    Some(Said::new(
        format!("one statement changes every row of `{table}`{held}"),
        format!(
            "-- plimsoll: backfill table={table} key=id batch=1000\n-- before the statement; it then runs in batches"
        ),
    ))
}
