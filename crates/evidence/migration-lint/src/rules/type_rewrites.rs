//! MIG-013 `column-type-rewrites`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;
use crate::effect::retyped;
use crate::name::quoted;
use crate::sql_type::Work;

rule! {
    code: "MIG-013",
    name: "column-type-rewrites",
    severity: Error,
    what: "A column of a table in use gets a type for which PostgreSQL has to convert each row.",
    why: "The table and all its indexes are written again under ACCESS EXCLUSIVE: reads and writes wait. A \
           longer varchar, text instead of varchar and a wider numeric of the same scale cost nothing.",
    how: "Add a second column of the new type, keep it filled by a trigger, backfill, switch the code, drop \
           the old column.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "ALTER TABLE users ALTER COLUMN age TYPE bigint;",
    near: "ALTER TABLE users ALTER COLUMN name TYPE varchar(40); ALTER TABLE users ALTER COLUMN name TYPE \
           text USING name::text;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::SetType { table, column, to, .. } = action else { return None };
    let work = retyped(cx, action);
    if !cx.large(table) || cx.schema.is_view(table) || work == Work::Catalogue {
        return None;
    }
    if work == Work::Scan {
        let on = table.sql();
        return Some(Said::new(
            format!(
                "changing `{table}.{column}` to {to} reads the whole table under ACCESS EXCLUSIVE: a check, or an index of an expression, is proven again"
            ),
            format!(
                "-- drop it, change the type, and add it again as NOT VALID or CONCURRENTLY, each on its own:\nALTER TABLE {on} ALTER COLUMN {} TYPE {to};",
                quoted(column)
            ),
        ));
    }
    let was =
        cx.schema.column(table, column).map(|found| format!("{} to ", found.sql_type)).unwrap_or_default();
    // From what is not known to text costs nothing more often than not.
    if was.is_empty() && matches!(to.name.as_str(), "text" | "varchar") && to.arguments.is_empty() {
        return None;
    }
    let (on, next) = (table.sql(), quoted(&format!("{column}_next")));
    Some(Said::new(
        format!("changing `{table}.{column}` from {was}{to} rewrites the table under ACCESS EXCLUSIVE")
            .replace("from  ", ""),
        format!(
            "ALTER TABLE {on} ADD COLUMN {next} {to};\n-- keep it filled by a trigger, backfill, let the code use it, \
             then drop {}",
            quoted(column)
        ),
    ))
}
