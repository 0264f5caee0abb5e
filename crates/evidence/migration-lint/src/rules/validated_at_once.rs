//! MIG-022 `validated-in-same-transaction`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;
use crate::name::quoted;

rule! {
    code: "MIG-022",
    name: "validated-in-same-transaction",
    severity: Error,
    what: "A constraint is added as NOT VALID and validated in the same transaction.",
    why: "The strong lock of ADD CONSTRAINT is held until the transaction ends, so all of the validation \
           runs under it: nothing is won.",
    how: "Validate in a migration of its own.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "ALTER TABLE users ADD CONSTRAINT adult CHECK (age >= 18) NOT VALID; ALTER TABLE users VALIDATE \
           CONSTRAINT adult;",
    near: "-- no-transaction\nALTER TABLE users ADD CONSTRAINT adult CHECK (age >= 18) NOT VALID; ALTER TABLE \
           users VALIDATE CONSTRAINT adult;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::ValidateConstraint { table, name } = action else { return None };
    let constraint = cx.schema.relation(table)?.constraint(name)?;
    let together = constraint.made == cx.made && cx.in_transaction && !constraint.valid;
    if !together || !cx.large(table) {
        return None;
    }
    Some(Said::new(
        format!("`{name}` was added in this transaction, so `{table}` stays locked while it is validated"),
        format!(
            "-- in a migration of its own:\nALTER TABLE {} VALIDATE CONSTRAINT {};",
            table.sql(),
            quoted(name)
        ),
    ))
}
