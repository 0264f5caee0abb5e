//! API-021 `parameter-added`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-021",
    name: "parameter-added",
    level: Additive,
    what: "An operation has a parameter that may be left out.",
    why: "Clients that do not know it leave it out.",
    how: advice::NOTHING,
    example: Operation,
    old: "{parameters: [], responses: {}}",
    new: "{parameters: [{in: query, name: limit, schema: {type: integer}}], responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::ParameterAdded { required } if !required || delta.flow == Some(Flow::Response) => {
            Some("new".into())
        }
        _ => None,
    }
}
