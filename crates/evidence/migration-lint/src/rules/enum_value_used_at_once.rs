//! MIG-070 `enum-value-used-at-once`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;

rule! {
    code: "MIG-070",
    name: "enum-value-used-at-once",
    severity: Error,
    what: "A value is added to an enum and used in the same transaction.",
    why: "PostgreSQL refuses it: a new value of an enum is not there before the transaction ended.",
    how: "Add the value in a migration of its own.",
    before: "CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (m mood);",
    found: "ALTER TYPE mood ADD VALUE 'glad'; INSERT INTO t VALUES ('glad');",
    near: "ALTER TYPE mood ADD VALUE 'glad'; INSERT INTO t VALUES ('sad');",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    // A function's body is read when it runs, and a new table's default is not.
    if !cx.in_transaction
        || !matches!(
            action,
            Action::Insert { .. }
                | Action::Update { .. }
                | Action::Delete { .. }
                | Action::SetDefault { .. }
                | Action::SetType { .. }
        )
    {
        return None;
    }
    let (_, value, name) = cx.past.added_values.iter().find(|(transaction, value, name)| {
        *transaction == cx.made.transaction
            && cx.statement.literals.contains(value)
            && cx.schema.enumeration(name).is_some_and(|found| found.made != cx.made)
    })?;
    Some(Said::new(
        format!("'{value}' was added to `{name}` in this transaction and cannot be used before it ended"),
        format!("-- in a migration of its own:\nALTER TYPE {} ADD VALUE '{value}';", name.sql()),
    ))
}
