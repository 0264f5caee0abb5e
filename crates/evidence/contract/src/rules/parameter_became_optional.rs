//! API-024 `parameter-became-optional`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-024",
    name: "parameter-became-optional",
    level: Additive,
    what: "A required parameter may be left out.",
    why: "Clients go on sending it.",
    how: advice::NOTHING,
    example: Operation,
    old: "{parameters: [{in: query, name: limit, required: true, schema: {type: integer}}], responses: \
        {}}",
    new: "{parameters: [{in: query, name: limit, schema: {type: integer}}], responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::ParameterOptional if delta.flow == Some(Flow::Request) => Some("may now be left out".into()),
        _ => None,
    }
}
