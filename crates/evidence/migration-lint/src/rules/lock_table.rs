//! MIG-041 `table-locked`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;

rule! {
    code: "MIG-041",
    name: "table-locked",
    severity: Warning,
    what: "LOCK TABLE on a table in use, in a mode that writes wait for.",
    why: "It is held until the transaction ends, whatever else that does.",
    how: "Most statements take the lock that they need. Where the migration needs more, keep the transaction \
           short and set lock_timeout.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "LOCK TABLE users;",
    near: "LOCK TABLE users IN SHARE UPDATE EXCLUSIVE MODE;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::Lock { tables, mode } = action else { return None };
    let table = tables.iter().find(|table| cx.large(table))?;
    if !mode.stops_writes() {
        return None;
    }
    let who = if mode.stops_reads() { "reads and writes" } else { "writes" };
    Some(Said::new(
        format!("{who} of `{table}` wait until this transaction ends"),
        "leave LOCK TABLE away: each statement takes the lock that it needs; or SET lock_timeout = '2s' before it",
    ))
}
