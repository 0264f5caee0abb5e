//! API-089 `response-range-narrowed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-089",
    name: "response-range-narrowed",
    level: Additive,
    what: "Numbers stay in a smaller range.",
    why: "Clients can rely on more.",
    how: advice::NOTHING,
    example: ResponseSchema,
    old: "{type: integer, maximum: 100}",
    new: "{type: integer, maximum: 10}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Range { keyword, old, new, turn }
            if delta.flow == Some(Flow::Response) && *turn == Turn::Narrower =>
        {
            Some(super::change(keyword, old.as_deref(), new.as_deref()))
        }
        _ => None,
    }
}
