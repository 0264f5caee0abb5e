//! MIG-072 `composite-type-changed`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;
use crate::name::quoted;

rule! {
    code: "MIG-072",
    name: "composite-type-changed",
    severity: Warning,
    what: "The attributes of a composite type change.",
    why: "Released code that reads or writes values of it finds another shape, and PostgreSQL rewrites the \
           tables that hold it.",
    how: "Make a new type, and a column of it, beside the old one.",
    before: "CREATE TYPE address AS (city text);",
    found: "ALTER TYPE address DROP ATTRIBUTE city;",
    near: "CREATE TYPE other AS (city text);",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::ChangeComposite { name } = action else { return None };
    cx.postgres().then(|| {
        Said::new(
            format!("released code finds another shape in `{name}`"),
            format!(
                "CREATE TYPE {} AS (…);  -- and a column of it beside the old one",
                quoted(&format!("{}_next", name.name))
            ),
        )
    })
}
