//! MIG-052 `dropped-while-used`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;
use crate::context::Use;
use crate::name::Name;

rule! {
    code: "MIG-052",
    name: "dropped-while-used",
    severity: Error,
    what: "A table, a view or a column is dropped that a release has declared to use, and that release runs \
           or may be rolled back to.",
    why: "That code fails at its next query.",
    how: "Wait until no such release is left in the window, or declare that it does not use it.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "ALTER TABLE users DROP COLUMN email;",
    near: "ALTER TABLE users DROP COLUMN age;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    if let Some((table, lost)) = cx.lost_columns(action) {
        return lost.iter().find_map(|column| dropped(&table, Some(column), cx));
    }
    let (table, column) = match action {
        Action::DropRelation { name, .. } if !cx.ahead.made_again.contains(name) => (name, None),
        Action::DropColumn { table, column, .. } => (table, Some(column.as_str())),
        _ => return None,
    };
    if cx.in_use(table) { dropped(table, column, cx) } else { None }
}

fn dropped(table: &Name, column: Option<&str>, cx: &Context<'_>) -> Option<Said> {
    let Use::By(releases) = cx.used(table, column) else { return None };
    let what = column.map_or_else(|| table.to_string(), |column| format!("{table}.{column}"));
    Some(Said::new(
        format!("`{what}` is dropped, and release {} uses it", releases.join(", ")),
        "leave this to a later release, once none that uses it runs or may be rolled back to; see `plimsoll status`",
    ))
}
