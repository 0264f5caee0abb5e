//! API-106 `response-property-added`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-106",
    name: "response-property-added",
    level: Additive,
    what: "A property is new.",
    why: "Clients have to ignore properties that they do not know.",
    how: advice::NOTHING,
    example: ResponseSchema,
    old: "{type: object, properties: {id: {type: string}}}",
    new: "{type: object, properties: {id: {type: string}, name: {type: string}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::PropertyAdded { .. } if delta.flow == Some(Flow::Response) => Some("now sent".into()),
        _ => None,
    }
}
