//! API-080 `response-format-widened`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-080",
    name: "response-format-widened",
    level: Breaking,
    what: "A value may have another format than it had, or any.",
    why: "Clients parse it and fail, or it overflows.",
    how: advice::SEND_BOTH,
    example: ResponseSchema,
    old: "{type: integer, format: int32}",
    new: "{type: integer, format: int64}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Format { old, new, turn } if delta.flow == Some(Flow::Response) && *turn != Turn::Narrower => {
            Some(super::change("format", old.as_deref(), new.as_deref()))
        }
        _ => None,
    }
}
