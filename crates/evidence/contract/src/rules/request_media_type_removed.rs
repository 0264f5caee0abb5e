//! API-035 `request-media-type-removed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-035",
    name: "request-media-type-removed",
    level: Breaking,
    what: "A media type of a request is gone, and no range such as `application/*` covers it.",
    why: "Clients that send it get 415 Unsupported Media Type.",
    how: advice::ACCEPT_BOTH,
    example: Operation,
    old: "{requestBody: {content: {application/json: {}, application/xml: {}}}, responses: {}}",
    new: "{requestBody: {content: {application/json: {}}}, responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::MediaTypeRemoved { name } if delta.flow == Some(Flow::Request) => {
            Some(format!("`{name}` no longer accepted"))
        }
        _ => None,
    }
}
