//! API-036 `request-media-type-added`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-036",
    name: "request-media-type-added",
    level: Additive,
    what: "A request may be sent in another media type.",
    why: "Clients go on sending what they did.",
    how: advice::NOTHING,
    example: Operation,
    old: "{requestBody: {content: {application/json: {}}}, responses: {}}",
    new: "{requestBody: {content: {application/json: {}, application/xml: {}}}, responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::MediaTypeAdded { name } if delta.flow == Some(Flow::Request) => {
            Some(format!("`{name}` now accepted"))
        }
        _ => None,
    }
}
