//! API-030 `request-body-added-required`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-030",
    name: "request-body-added-required",
    level: Breaking,
    what: "An operation requires a body that it did not take.",
    why: "Every client that is there today sends none and is refused.",
    how: advice::ACCEPT_BOTH,
    example: Operation,
    old: "{responses: {}}",
    new: "{requestBody: {required: true, content: {application/json: {schema: {type: object}}}}, \
        responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::BodyAdded { required: true } if delta.flow == Some(Flow::Request) => {
            Some("now requires a body".into())
        }
        _ => None,
    }
}
