//! MIG-082 `partition-detached`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;

rule! {
    code: "MIG-082",
    name: "partition-detached",
    severity: Warning,
    what: "A partition is detached without CONCURRENTLY.",
    why: "ACCESS EXCLUSIVE on the parent: every query of the whole table waits behind it.",
    how: "DETACH PARTITION … CONCURRENTLY (PostgreSQL 14), outside a transaction.",
    before: "CREATE TABLE parts (id bigint) PARTITION BY RANGE (id); CREATE TABLE p PARTITION OF parts FOR \
           VALUES FROM (1) TO (2);",
    found: "ALTER TABLE parts DETACH PARTITION p;",
    near: "-- no-transaction\nALTER TABLE parts DETACH PARTITION p CONCURRENTLY;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::DetachPartition { table, partition, concurrently: false } = action else { return None };
    cx.large(table).then(|| {
        Said::new(
            format!("every query of `{table}` waits while `{partition}` is detached"),
            format!(
                "-- outside a transaction:\nALTER TABLE {} DETACH PARTITION {} CONCURRENTLY;",
                table.sql(),
                partition.sql()
            ),
        )
    })
}
