//! MIG-056 `required-column-loses-default`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;

rule! {
    code: "MIG-056",
    name: "required-column-loses-default",
    severity: Warning,
    what: "The default of a NOT NULL column is dropped while released code may insert without naming the \
           column.",
    why: "Those INSERTs fail from then on.",
    how: "Drop the default in a later release, once all running code gives the column a value.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "ALTER TABLE users ALTER COLUMN name DROP DEFAULT;",
    near: "ALTER TABLE users ALTER COLUMN age DROP DEFAULT; CREATE TABLE t (a int NOT NULL DEFAULT 1); ALTER \
           TABLE t ALTER COLUMN a DROP DEFAULT;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::DropDefault { table, column } = action else { return None };
    let found = cx.schema.column(table, column)?;
    if !cx.in_use(table)
        || !found.not_null
        || !(found.default.is_some() || found.numbered)
        || cx.default_returns(table, column)
    {
        return None;
    }
    Some(Said::new(
        format!(
            "released code that inserts into `{table}` without `{column}` fails once there is no default"
        ),
        "drop the default in a later release, once all running code gives the column a value",
    ))
}
