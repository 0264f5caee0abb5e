//! MIG-081 `partition-attached-without-check`.

use super::{Said, rule};
use crate::action::Action;
use crate::action::Demand;
use crate::context::Context;

rule! {
    code: "MIG-081",
    name: "partition-attached-without-check",
    severity: Error,
    what: "A table with rows is attached as a partition without a validated check that its rows belong there.",
    why: "PostgreSQL reads the whole table under ACCESS EXCLUSIVE to see that they do.",
    how: "Add a check of the same bounds as NOT VALID, validate it, attach, drop the check.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           ''); CREATE TABLE parts (id bigint) PARTITION BY RANGE (id);",
    found: "ALTER TABLE parts ATTACH PARTITION users FOR VALUES FROM (1) TO (9);",
    near: "CREATE TABLE p1 (id bigint); ALTER TABLE parts ATTACH PARTITION p1 FOR VALUES FROM (10) TO (19);",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::AttachPartition { table, partition, default: false } = action else { return None };
    let checked = cx.schema.relation(partition).is_some_and(|relation| {
        relation
            .constraints
            .iter()
            .any(|it| it.valid && matches!(it.demand, Demand::Check { not_null: None, .. }))
    });
    if !cx.large(partition) || checked {
        return None;
    }
    let on = partition.sql();
    Some(Said::new(
        format!("attaching `{partition}` to `{table}` reads all of it under ACCESS EXCLUSIVE"),
        format!(
            "ALTER TABLE {on} ADD CONSTRAINT bounds CHECK (…) NOT VALID;\n-- in a later transaction:\n\
             ALTER TABLE {on} VALIDATE CONSTRAINT bounds;  -- then ATTACH PARTITION, then drop the check"
        ),
    ))
}
