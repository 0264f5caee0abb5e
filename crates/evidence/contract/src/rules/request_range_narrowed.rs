//! API-086 `request-range-narrowed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-086",
    name: "request-range-narrowed",
    level: Breaking,
    what: "Numbers are accepted in a smaller range, or have to be a multiple of something (`minimum`, \
        `maximum`, `multipleOf`).",
    why: "What clients send is refused although its type is right.",
    how: advice::ACCEPT_BOTH,
    example: RequestSchema,
    old: "{type: integer, maximum: 100}",
    new: "{type: integer, maximum: 10}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Range { keyword, old, new, turn }
            if delta.flow == Some(Flow::Request) && *turn != Turn::Wider =>
        {
            Some(super::change(keyword, old.as_deref(), new.as_deref()))
        }
        _ => None,
    }
}
