//! API-038 `response-media-type-added`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-038",
    name: "response-media-type-added",
    level: Additive,
    what: "A response is offered in another media type.",
    why: "Clients get it when they ask for it.",
    how: advice::NOTHING,
    example: Operation,
    old: "{responses: {'200': {content: {application/json: {}}}}}",
    new: "{responses: {'200': {content: {application/json: {}, application/xml: {}}}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::MediaTypeAdded { name } if delta.flow == Some(Flow::Response) => {
            Some(format!("`{name}` now offered"))
        }
        _ => None,
    }
}
