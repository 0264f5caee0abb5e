//! MIG-032 `drop-index-not-concurrent`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;

rule! {
    code: "MIG-032",
    name: "drop-index-not-concurrent",
    severity: Warning,
    what: "An index of a table in use is dropped without CONCURRENTLY.",
    why: "DROP INDEX needs ACCESS EXCLUSIVE on the table. It is quick once it has it, but while it waits for \
           a long query everybody else waits behind it.",
    how: "DROP INDEX CONCURRENTLY, outside a transaction.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           ''); CREATE INDEX users_email ON users (email);",
    found: "DROP INDEX users_email;",
    near: "DROP INDEX IF EXISTS unknown_index; CREATE TABLE t (a int); CREATE INDEX i ON t (a); DROP INDEX i;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::DropIndex { name, concurrently: false } = action else { return None };
    let (_, index) = cx.schema.index(name)?;
    let locked = cx.past.strong_locks.iter().any(|(transaction, table, mode)| {
        *transaction == cx.made.transaction && mode.stops_reads() && cx.schema.resolve(table) == index.table
    });
    if !cx.large(&index.table) || index.made.release == cx.made.release || locked && cx.in_transaction {
        return None;
    }
    Some(Said::new(
        format!("dropping `{name}` locks `{}` against reads and writes", index.table),
        format!("-- outside a transaction:\nDROP INDEX CONCURRENTLY {};", name.sql()),
    ))
}
