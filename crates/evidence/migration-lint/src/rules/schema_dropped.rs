//! MIG-055 `schema-dropped`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;

rule! {
    code: "MIG-055",
    name: "schema-dropped",
    severity: Error,
    what: "A schema with tables of released code is dropped.",
    why: "All its tables go with it, with their rows.",
    how: "Drop its tables one by one, each once no released code uses it.",
    before: "CREATE SCHEMA billing; CREATE TABLE billing.invoices (id bigint);",
    found: "DROP SCHEMA billing CASCADE;",
    near: "DROP SCHEMA IF EXISTS empty;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::DropSchema { name } = action else { return None };
    let table = cx.schema.relations.keys().find(|table| table.schema == *name && cx.in_use(table))?;
    Some(Said::new(
        format!("`{table}` and whatever else is in the schema goes with it"),
        "drop its tables one by one, each once no released code uses it",
    ))
}
