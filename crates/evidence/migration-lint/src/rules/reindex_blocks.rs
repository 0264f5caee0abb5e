//! MIG-033 `reindex-not-concurrent`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;

rule! {
    code: "MIG-033",
    name: "reindex-not-concurrent",
    severity: Error,
    what: "REINDEX without CONCURRENTLY on a table in use.",
    why: "Writes wait until the index is built, and so do reads that would use it.",
    how: "REINDEX … CONCURRENTLY (PostgreSQL 12), outside a transaction.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "REINDEX TABLE users;",
    near: "-- no-transaction\nREINDEX TABLE CONCURRENTLY users;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::Reindex { index, table, concurrently: false } = action else { return None };
    let of_index =
        index.as_ref().and_then(|name| cx.schema.index(name)).map(|(_, index)| index.table.clone());
    let found = table.clone().or(of_index);
    if found.as_ref().is_some_and(|table| !cx.large(table)) || !cx.postgres() {
        return None;
    }
    let (kind, name) = match (index, table) {
        (Some(index), _) => ("INDEX", index.sql()),
        (None, Some(table)) => ("TABLE", table.sql()),
        (None, None) => ("SCHEMA", "public".into()),
    };
    Some(Said::new(
        "writes wait until the index is built again, and so do reads that would use it",
        format!("-- outside a transaction:\nREINDEX {kind} CONCURRENTLY {name};"),
    ))
}
