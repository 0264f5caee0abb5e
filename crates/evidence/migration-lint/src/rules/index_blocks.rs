//! MIG-030 `index-not-concurrent`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;
use crate::name::quoted;

rule! {
    code: "MIG-030",
    name: "index-not-concurrent",
    severity: Error,
    what: "An index is built on a table in use without CONCURRENTLY.",
    why: "Writes to the table wait (SHARE) until the index is ready.",
    how: "CREATE INDEX CONCURRENTLY, outside a transaction. A table that the same release makes is empty; \
           there no finding is made.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "CREATE INDEX users_email ON users (email);",
    near: "CREATE TABLE orders (id bigint); CREATE INDEX orders_id ON orders (id);",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::CreateIndex { name, table, columns, unique, concurrently: false, if_not_exists, .. } = action
    else {
        return None;
    };
    let there = *if_not_exists && name.as_ref().is_some_and(|name| cx.schema.index(name).is_some());
    let partitioned = cx.schema.relation(table).is_some_and(|relation| relation.partitioned);
    if !cx.large(table) || there {
        return None;
    }
    let unique = if *unique { "UNIQUE " } else { "" };
    let index = name.as_ref().map(|name| format!("{} ", quoted(&name.name))).unwrap_or_default();
    let hint = if partitioned {
        format!(
            "CREATE {unique}INDEX {index}ON ONLY {} (…);  -- then CREATE INDEX CONCURRENTLY on each partition, and \
             ALTER INDEX … ATTACH PARTITION",
            table.sql()
        )
    } else {
        format!(
            "-- outside a transaction:\nCREATE {unique}INDEX CONCURRENTLY {index}ON {} ({});",
            table.sql(),
            columns.join(", ")
        )
    };
    Some(Said::new(format!("writes to `{table}` wait until the index is built"), hint))
}
