//! API-023 `parameter-became-required`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-023",
    name: "parameter-became-required",
    level: Breaking,
    what: "A parameter that could be left out is required.",
    why: "Clients that leave it out are refused. A `default` does not help: validators refuse before \
        they look at it.",
    how: advice::ACCEPT_BOTH,
    example: Operation,
    old: "{parameters: [{in: query, name: limit, schema: {type: integer}}], responses: {}}",
    new: "{parameters: [{in: query, name: limit, required: true, schema: {type: integer}}], responses: \
        {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::ParameterRequired if delta.flow == Some(Flow::Request) => Some("now required".into()),
        _ => None,
    }
}
