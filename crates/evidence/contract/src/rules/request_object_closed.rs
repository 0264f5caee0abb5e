//! API-110 `request-object-closed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-110",
    name: "request-object-closed",
    level: Breaking,
    what: "What is not named is no longer accepted: further properties, elements, or names that match a \
        pattern in any form (`additionalProperties`, `unevaluatedProperties`, `items`, \
        `patternProperties`).",
    why: "Clients that send more are refused.",
    how: advice::ACCEPT_BOTH,
    example: RequestSchema,
    old: "{type: object, properties: {id: {type: string}}}",
    new: "{type: object, properties: {id: {type: string}}, additionalProperties: false}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Closed { what } if delta.flow == Some(Flow::Request) => {
            Some(format!("further {what} no longer accepted"))
        }
        _ => None,
    }
}
