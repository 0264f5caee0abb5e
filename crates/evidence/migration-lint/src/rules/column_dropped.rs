//! MIG-051 `column-dropped`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;
use crate::context::Use;
use crate::name::quoted;

rule! {
    code: "MIG-051",
    name: "column-dropped",
    severity: Warning,
    what: "A column that was there before this release is dropped, and no release has declared what it uses.",
    why: "Code that still runs, and code that one may roll back to, fails where it names the column; mappers \
           name all of them. The values are gone.",
    how: "Release code that does not use it, declare so, and drop it in a later release: `plimsoll` then \
           waits until no older code runs.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "ALTER TABLE users DROP COLUMN age;",
    near: "ALTER TABLE users ADD COLUMN x int; ALTER TABLE users DROP COLUMN x; ALTER TABLE users DROP COLUMN \
           IF EXISTS nowhere;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    if let Some((table, lost)) = cx.lost_columns(action) {
        let lost: Vec<String> =
            lost.into_iter().filter(|it| cx.used(&table, Some(it)) == Use::Unknown).collect();
        return (!lost.is_empty()).then(|| {
            Said::new(
                format!(
                    "`{table}` is made again without {}, and no release has declared whether it uses that",
                    lost.join(", ")
                ),
                "release code that does not use it first, then make the table again in a release of its own",
            )
        });
    }
    let Action::DropColumn { table, column, .. } = action else { return None };
    if !cx.column_in_use(table, column) || cx.schema.is_view(table) {
        return None;
    }
    (cx.used(table, Some(column)) == Use::Unknown).then(|| {
        Said::new(
            format!("`{table}.{column}` is dropped, and no release has declared whether it uses it"),
            format!(
                "release code that does not use {} first, then, in a release of its own:\nALTER TABLE {} DROP COLUMN {};",
                quoted(column),
                table.sql(),
                quoted(column)
            ),
        )
    })
}
