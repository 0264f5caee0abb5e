//! MIG-023 `constraint-builds-index`.

use super::{Said, rule};
use crate::action::Action;
use crate::action::Demand;
use crate::context::Context;
use crate::name::quoted;

rule! {
    code: "MIG-023",
    name: "constraint-builds-index",
    severity: Error,
    what: "A primary key, a unique or an exclusion constraint is added to a table in use, and PostgreSQL \
           builds its index on the spot.",
    why: "The index is built under ACCESS EXCLUSIVE: reads and writes wait until it is ready.",
    how: "Build a unique index CONCURRENTLY first, then add the constraint with USING INDEX, which takes an \
           instant.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "ALTER TABLE users ADD CONSTRAINT email_once UNIQUE (email);",
    near: "ALTER TABLE users ADD CONSTRAINT email_once UNIQUE USING INDEX users_email;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let builds = |demand: &Demand| {
        matches!(
            demand,
            Demand::Unique { using_index: None, .. }
                | Demand::Primary { using_index: None, .. }
                | Demand::Exclude
        )
    };
    let (table, constraint) = match action {
        Action::AddConstraint { table, constraint } => (table, constraint),
        Action::AddColumn { table, column, .. } if cx.schema.column(table, &column.name).is_none() => {
            (table, column.constraints.iter().find(|it| builds(&it.demand))?)
        }
        _ => return None,
    };
    if !builds(&constraint.demand) || !cx.large(table) {
        return None;
    }
    let (on, name) = (table.sql(), constraint.name.clone().unwrap_or_else(|| format!("{}_key", table.name)));
    let (kind, columns) = match &constraint.demand {
        Demand::Primary { columns, .. } => ("PRIMARY KEY", columns.as_slice()),
        Demand::Unique { columns, .. } => ("UNIQUE", columns.as_slice()),
        _ => ("EXCLUDE", [].as_slice()),
    };
    let index = quoted(&name);
    let listed: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
    let hint = if columns.is_empty() {
        "an exclusion constraint cannot use a ready index: add it to a new table, and move the rows by a backfill".into()
    } else {
        format!(
            "CREATE UNIQUE INDEX CONCURRENTLY {index} ON {on} ({});  -- outside a transaction\n\
             ALTER TABLE {on} ADD CONSTRAINT {index} {kind} USING INDEX {index};",
            listed.join(", ")
        )
    };
    Some(Said::new(format!("{kind} builds its index on `{table}` under ACCESS EXCLUSIVE"), hint))
}
