//! API-037 `response-media-type-removed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-037",
    name: "response-media-type-removed",
    level: Breaking,
    what: "A response is no longer offered in a media type.",
    why: "Clients that ask for it get 406 Not Acceptable or something that they cannot read.",
    how: advice::SEND_BOTH,
    example: Operation,
    old: "{responses: {'200': {content: {application/json: {}, application/xml: {}}}}}",
    new: "{responses: {'200': {content: {application/json: {}}}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::MediaTypeRemoved { name } if delta.flow == Some(Flow::Response) => {
            Some(format!("`{name}` no longer offered"))
        }
        _ => None,
    }
}
