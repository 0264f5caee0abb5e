//! API-020 `parameter-added-required`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-020",
    name: "parameter-added-required",
    level: Breaking,
    what: "An operation requires a parameter that did not exist.",
    why: "Every client that is there today leaves it out and is refused.",
    how: advice::ACCEPT_BOTH,
    example: Operation,
    old: "{parameters: [], responses: {}}",
    new: "{parameters: [{in: query, name: limit, required: true, schema: {type: integer}}], responses: \
        {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::ParameterAdded { required: true } if delta.flow == Some(Flow::Request) => {
            Some("new and required".into())
        }
        _ => None,
    }
}
