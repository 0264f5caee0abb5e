//! MIG-083 `sequence-narrowed`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;

rule! {
    code: "MIG-083",
    name: "sequence-narrowed",
    severity: Error,
    what: "A sequence gets a smaller type.",
    why: "Once its numbers pass the smaller type's greatest, every INSERT that takes one fails; where they \
           have passed it, this statement does.",
    how: "Leave the sequence as wide as it is; it costs nothing.",
    before: "CREATE SEQUENCE s;",
    found: "ALTER SEQUENCE s AS integer;",
    near: "ALTER SEQUENCE s AS bigint;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::SetSequenceType { name, bits } = action else { return None };
    let was = cx.schema.sequences.get(name)?;
    (bits < was).then(|| {
        Said::new(
            format!("`{name}` had {was} bits and gets {bits}: it ends earlier"),
            format!("leave {} as it is", name.sql()),
        )
    })
}
