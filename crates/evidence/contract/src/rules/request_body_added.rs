//! API-031 `request-body-added`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-031",
    name: "request-body-added",
    level: Additive,
    what: "An operation takes a body that may be left out.",
    why: "Clients that do not know it send none.",
    how: advice::NOTHING,
    example: Operation,
    old: "{responses: {}}",
    new: "{requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::BodyAdded { required: false } if delta.flow == Some(Flow::Request) => {
            Some("now takes a body".into())
        }
        _ => None,
    }
}
