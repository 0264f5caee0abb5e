//! API-087 `request-range-widened`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-087",
    name: "request-range-widened",
    level: Additive,
    what: "Numbers are accepted in a larger range.",
    why: "Clients go on sending what they did.",
    how: advice::NOTHING,
    example: RequestSchema,
    old: "{type: integer, maximum: 10}",
    new: "{type: integer, maximum: 100}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Range { keyword, old, new, turn }
            if delta.flow == Some(Flow::Request) && *turn == Turn::Wider =>
        {
            Some(super::change(keyword, old.as_deref(), new.as_deref()))
        }
        _ => None,
    }
}
