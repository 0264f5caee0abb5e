//! MIG-042 `refresh-not-concurrent`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;

rule! {
    code: "MIG-042",
    name: "refresh-not-concurrent",
    severity: Warning,
    what: "A materialized view in use is refreshed without CONCURRENTLY.",
    why: "Reads of the view wait (ACCESS EXCLUSIVE) for as long as its query takes.",
    how: "REFRESH MATERIALIZED VIEW CONCURRENTLY; it needs a unique index on the view.",
    before: "CREATE TABLE t (a int); CREATE MATERIALIZED VIEW totals AS SELECT a FROM t;",
    found: "REFRESH MATERIALIZED VIEW totals;",
    near: "REFRESH MATERIALIZED VIEW CONCURRENTLY totals;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::Refresh { view, concurrently: false } = action else { return None };
    if !cx.large(view) {
        return None;
    }
    Some(Said::new(
        format!("reads of `{view}` wait while its query runs"),
        format!("REFRESH MATERIALIZED VIEW CONCURRENTLY {};  -- needs a unique index on it", view.sql()),
    ))
}
