//! API-101 `request-property-added-required`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-101",
    name: "request-property-added-required",
    level: Breaking,
    what: "A property is new and required. A `default` does not help: validators refuse before they \
        look at it.",
    why: "Every client that is there today leaves it out and is refused.",
    how: advice::ACCEPT_BOTH,
    example: RequestSchema,
    old: "{type: object, properties: {id: {type: string}}}",
    new: "{type: object, required: [name], properties: {id: {type: string}, name: {type: string}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::PropertyAdded { required: true } if delta.flow == Some(Flow::Request) => {
            Some("new and required".into())
        }
        _ => None,
    }
}
