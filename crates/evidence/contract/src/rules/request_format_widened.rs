//! API-079 `request-format-widened`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-079",
    name: "request-format-widened",
    level: Additive,
    what: "A value need not have its format any more, or one that includes it.",
    why: "What clients send is still accepted.",
    how: advice::NOTHING,
    example: RequestSchema,
    old: "{type: integer, format: int32}",
    new: "{type: integer, format: int64}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Format { old, new, turn } if delta.flow == Some(Flow::Request) && *turn == Turn::Wider => {
            Some(super::change("format", old.as_deref(), new.as_deref()))
        }
        _ => None,
    }
}
