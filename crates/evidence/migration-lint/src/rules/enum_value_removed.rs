//! MIG-071 `enum-value-removed`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;

rule! {
    code: "MIG-071",
    name: "enum-value-removed",
    severity: Error,
    what: "An enum of released code is replaced by one that lacks some of its values, or a value is renamed.",
    why: "Released code that writes such a value fails, and code that reads the new name does not know it.",
    how: "Stop using the value, change the rows that hold it, and replace the type in a later release.",
    before: "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TABLE t (m mood);",
    found: "CREATE TYPE mood_new AS ENUM ('glad'); ALTER TYPE mood RENAME TO mood_old; ALTER TYPE mood_new \
           RENAME TO mood; DROP TYPE mood_old;",
    near: "CREATE TYPE mood_new AS ENUM ('glad', 'sad', 'new'); ALTER TYPE mood RENAME TO mood_old; ALTER \
           TYPE mood_new RENAME TO mood; DROP TYPE mood_old;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let (name, values) = match action {
        Action::RenameValue { name, from, to } => {
            let found = cx.schema.enumeration(name)?;
            return (found.made.release < cx.made.release).then(|| {
                Said::new(
                    format!("released code that writes '{from}' to `{name}` fails once it is called '{to}'"),
                    format!(
                        "ALTER TYPE {} ADD VALUE '{to}';  -- and change the rows, once all code knows it",
                        name.sql()
                    ),
                )
            });
        }
        Action::CreateEnum { name, values } => (name.clone(), values.clone()),
        Action::RenameType { name, to } => (name.renamed(to), cx.schema.enums.get(name)?.values.clone()),
        _ => return None,
    };
    let lost: Vec<String> = cx
        .past
        .gone_enums
        .get(&name)?
        .iter()
        .filter(|value| !values.contains(value))
        .map(|it| format!("'{it}'"))
        .collect();
    (!lost.is_empty()).then(|| {
        Said::new(
            format!("`{name}` loses {}: released code that writes it fails", lost.join(", ")),
            "stop using the value first, change the rows that hold it, replace the type in a later release",
        )
    })
}
