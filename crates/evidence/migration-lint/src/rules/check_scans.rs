//! MIG-020 `check-without-not-valid`.

use super::{Said, rule};
use crate::action::Action;
use crate::action::Demand;
use crate::context::Context;
use crate::name::quoted;

rule! {
    code: "MIG-020",
    name: "check-without-not-valid",
    severity: Error,
    what: "A CHECK is added to a table in use without NOT VALID.",
    why: "PostgreSQL reads the whole table under ACCESS EXCLUSIVE to see that every row fulfils it: reads \
           and writes wait.",
    how: "Add it as NOT VALID, which takes an instant and holds for new rows; validate it in a later \
           transaction, which blocks nobody.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "ALTER TABLE users ADD CONSTRAINT adult CHECK (age >= 18);",
    near: "ALTER TABLE users ADD CONSTRAINT adult CHECK (age >= 18) NOT VALID;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let (table, constraint) = match action {
        Action::AddConstraint { table, constraint } if !constraint.not_valid => (table, constraint),
        Action::AddColumn { table, column, .. } if cx.schema.column(table, &column.name).is_none() => {
            (table, column.constraints.iter().find(|it| matches!(it.demand, Demand::Check { .. }))?)
        }
        _ => return None,
    };
    let Demand::Check { text, .. } = &constraint.demand else { return None };
    if !cx.large(table) {
        return None;
    }
    let (on, name) = (table.sql(), quoted(constraint.name.as_deref().unwrap_or("name_it")));
    Some(Said::new(
        format!("adding this CHECK reads all of `{table}` under ACCESS EXCLUSIVE"),
        format!(
            "ALTER TABLE {on} ADD CONSTRAINT {name} CHECK ({text}) NOT VALID;\n-- in a later transaction:\n\
             ALTER TABLE {on} VALIDATE CONSTRAINT {name};"
        ),
    ))
}
