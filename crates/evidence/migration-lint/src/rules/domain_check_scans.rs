//! MIG-073 `domain-constraint-without-not-valid`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;

rule! {
    code: "MIG-073",
    name: "domain-constraint-without-not-valid",
    severity: Warning,
    what: "A constraint is added to a domain without NOT VALID.",
    why: "PostgreSQL reads every table with a column of that domain while writes to them wait.",
    how: "Add it as NOT VALID, and validate it in a later transaction.",
    before: "CREATE DOMAIN mail AS text;",
    found: "ALTER DOMAIN mail ADD CONSTRAINT at CHECK (VALUE LIKE '%@%');",
    near: "ALTER DOMAIN mail ADD CONSTRAINT at CHECK (VALUE LIKE '%@%') NOT VALID;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::AddDomainConstraint { name, not_valid: false } = action else { return None };
    cx.postgres().then(|| {
        Said::new(
            format!("every table with a column of `{name}` is read while writes to it wait"),
            format!("ALTER DOMAIN {} ADD CONSTRAINT … NOT VALID;  -- then VALIDATE CONSTRAINT", name.sql()),
        )
    })
}
