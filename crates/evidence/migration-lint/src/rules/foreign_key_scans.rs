//! MIG-021 `foreign-key-without-not-valid`.

use super::{Said, rule};
use crate::action::Action;
use crate::action::Demand;
use crate::context::Context;
use crate::name::quoted;

rule! {
    code: "MIG-021",
    name: "foreign-key-without-not-valid",
    severity: Error,
    what: "A foreign key is added to a table in use without NOT VALID.",
    why: "PostgreSQL looks up every row in the other table while writes to both tables wait (SHARE ROW \
           EXCLUSIVE).",
    how: "Add it as NOT VALID, which takes an instant and holds for new rows; validate it in a later \
           transaction, which blocks no writes.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           ''); CREATE TABLE teams (id bigint PRIMARY KEY);",
    found: "ALTER TABLE users ADD CONSTRAINT team FOREIGN KEY (age) REFERENCES teams (id);",
    near: "ALTER TABLE users ADD COLUMN team bigint REFERENCES teams (id); CREATE TABLE fresh (a bigint); \
           ALTER TABLE fresh ADD FOREIGN KEY (a) REFERENCES users (id);",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let (table, constraint) = match action {
        Action::AddConstraint { table, constraint } if !constraint.not_valid => (table, constraint),
        // Without a default all rows hold null, and PostgreSQL does not look; with one it
        // looks, even where the default is null.
        Action::AddColumn { table, column, .. }
            if cx.schema.column(table, &column.name).is_none() && column.default.is_some() =>
        {
            (table, column.constraints.iter().find(|it| matches!(it.demand, Demand::Foreign { .. }))?)
        }
        _ => return None,
    };
    let Demand::Foreign { columns, to, .. } = &constraint.demand else { return None };
    if !cx.large(table) {
        return None;
    }
    let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
    let (on, name) = (table.sql(), quoted(constraint.name.as_deref().unwrap_or("name_it")));
    Some(Said::new(
        format!("adding this foreign key checks all rows of `{table}` while writes to it and to `{to}` wait"),
        format!(
            "ALTER TABLE {on} ADD CONSTRAINT {name} FOREIGN KEY ({}) REFERENCES {} NOT VALID;\n\
             -- in a later transaction:\nALTER TABLE {on} VALIDATE CONSTRAINT {name};",
            columns.join(", "),
            to.sql()
        ),
    ))
}
