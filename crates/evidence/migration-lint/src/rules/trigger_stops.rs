//! MIG-080 `trigger-removed`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;

rule! {
    code: "MIG-080",
    name: "trigger-removed",
    severity: Warning,
    what: "A trigger of a table in use is dropped or disabled, and not made again in the same file.",
    why: "Released code relies on what it does with each row: history, counters, columns that are kept \
           alike.",
    how: "Remove it in a later release, once no running code needs what it does.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           ''); CREATE TRIGGER t AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION f();",
    found: "DROP TRIGGER t ON users;",
    near: "DROP TRIGGER IF EXISTS t ON users; CREATE TRIGGER t AFTER UPDATE ON users FOR EACH ROW EXECUTE \
           FUNCTION f();",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let (table, name, known) = match action {
        Action::DropTrigger { table, name } => {
            (table, name, cx.schema.triggers.contains_key(&(cx.schema.resolve(table), name.clone())))
        }
        Action::DisableTrigger { table, name } => (table, name, true),
        _ => return None,
    };
    if !known
        || !cx.in_use(table)
        || cx.ahead.triggers_again.contains(&(table.clone(), name.to_ascii_lowercase()))
    {
        return None;
    }
    Some(Said::new(
        format!("rows that released code writes to `{table}` no longer fire `{name}`"),
        "remove it in a later release, once no running code needs what it does",
    ))
}
