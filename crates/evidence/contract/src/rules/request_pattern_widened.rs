//! API-095 `request-pattern-widened`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-095",
    name: "request-pattern-widened",
    level: Additive,
    what: "A text need not match a `pattern` any more.",
    why: "Clients go on sending what they did.",
    how: advice::NOTHING,
    example: RequestSchema,
    old: "{type: string, pattern: '^a'}",
    new: "{type: string}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Pattern { old, new, turn } if delta.flow == Some(Flow::Request) && *turn == Turn::Wider => {
            Some(super::change("pattern", old.as_deref(), new.as_deref()))
        }
        _ => None,
    }
}
