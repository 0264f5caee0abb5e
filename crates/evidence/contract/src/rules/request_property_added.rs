//! API-102 `request-property-added`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-102",
    name: "request-property-added",
    level: Additive,
    what: "A property that may be left out is accepted.",
    why: "Clients that do not know it leave it out.",
    how: advice::NOTHING,
    example: RequestSchema,
    old: "{type: object, properties: {id: {type: string}}}",
    new: "{type: object, properties: {id: {type: string}, name: {type: string}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::PropertyAdded { required: false } if delta.flow == Some(Flow::Request) => {
            Some("now accepted".into())
        }
        _ => None,
    }
}
