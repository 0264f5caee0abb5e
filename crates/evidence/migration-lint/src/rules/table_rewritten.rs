//! MIG-040 `table-rewritten-for-upkeep`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;

rule! {
    code: "MIG-040",
    name: "table-rewritten-for-upkeep",
    severity: Error,
    what: "CLUSTER, VACUUM FULL or REPACK in a migration.",
    why: "The whole table is written again under ACCESS EXCLUSIVE: reads and writes wait.",
    how: "Plain VACUUM frees the space for new rows without a lock. Where the file must shrink, use \
           pg_repack outside of migrations.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "-- no-transaction\nVACUUM FULL users;",
    near: "-- no-transaction\nVACUUM users;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let (what, table) = match action {
        Action::Cluster { table } => ("CLUSTER", table),
        Action::VacuumFull { table } => ("VACUUM FULL", table),
        _ => return None,
    };
    if table.as_ref().is_some_and(|table| !cx.large(table)) || !cx.postgres() {
        return None;
    }
    let on = table.as_ref().map_or_else(|| "every table".to_owned(), |table| format!("`{table}`"));
    let name = table.as_ref().map(|table| format!(" {}", table.sql())).unwrap_or_default();
    Some(Said::new(
        format!("{what} writes {on} again under ACCESS EXCLUSIVE"),
        format!("VACUUM{name};  -- outside a transaction; or pg_repack, outside of migrations"),
    ))
}
