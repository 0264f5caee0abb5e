//! API-088 `response-range-widened`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-088",
    name: "response-range-widened",
    level: Breaking,
    what: "Numbers may be outside of the range in which they were.",
    why: "Clients meet values that they did not make room for.",
    how: advice::SEND_BOTH,
    example: ResponseSchema,
    old: "{type: integer, maximum: 10}",
    new: "{type: integer, maximum: 100}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Range { keyword, old, new, turn }
            if delta.flow == Some(Flow::Response) && *turn != Turn::Narrower =>
        {
            Some(super::change(keyword, old.as_deref(), new.as_deref()))
        }
        _ => None,
    }
}
