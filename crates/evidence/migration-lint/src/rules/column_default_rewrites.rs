//! MIG-011 `column-default-rewrites`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;
use crate::effect::added;
use crate::name::quoted;
use crate::sql_type::Work;

rule! {
    code: "MIG-011",
    name: "column-default-rewrites",
    severity: Error,
    what: "A column is added whose value PostgreSQL has to compute for each row: a volatile default, a \
           serial, an identity, a stored generated column.",
    why: "The table and all its indexes are written again under ACCESS EXCLUSIVE: reads and writes wait \
           until that ends.",
    how: "Add the column without the default, set the default in a statement of its own (it holds for new \
           rows only), and backfill the old rows in batches.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "ALTER TABLE users ADD COLUMN token uuid DEFAULT gen_random_uuid();",
    near: "ALTER TABLE users ADD COLUMN made_at timestamptz NOT NULL DEFAULT now();",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::AddColumn { table, column, .. } = action else { return None };
    if !cx.large(table) || cx.schema.column(table, &column.name).is_some() || added(column) != Work::Rewrite {
        return None;
    }
    let volatile = column.default.as_ref().and_then(|default| default.volatile.as_deref());
    if let Some(function) = volatile
        && cx.schema.functions.get(function) == Some(&false)
    {
        return None;
    }
    let reason = match volatile {
        Some(function) => format!("its default calls `{function}`, which is volatile"),
        None if column.stored => "it is generated and stored".into(),
        None => "each row gets a number".into(),
    };
    let (on, name) = (table.sql(), quoted(&column.name));
    let hint = match &column.default {
        Some(default) => format!(
            "ALTER TABLE {on} ADD COLUMN {name} {};\nALTER TABLE {on} ALTER COLUMN {name} SET DEFAULT {};\n\
             -- then backfill the rows that are there",
            column.sql_type, default.text
        ),
        None => {
            format!("ALTER TABLE {on} ADD COLUMN {name} {};  -- then fill it by a backfill", column.sql_type)
        }
    };
    Some(Said::new(
        format!("adding `{}` rewrites `{table}` under ACCESS EXCLUSIVE: {reason}", column.name),
        hint,
    ))
}
