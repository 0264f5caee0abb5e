//! API-033 `request-body-became-required`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-033",
    name: "request-body-became-required",
    level: Breaking,
    what: "A body that could be left out is required.",
    why: "Clients that send none are refused.",
    how: advice::ACCEPT_BOTH,
    example: Operation,
    old: "{requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {}}",
    new: "{requestBody: {required: true, content: {application/json: {schema: {type: object}}}}, \
        responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::BodyRequired if delta.flow == Some(Flow::Request) => Some("now required".into()),
        _ => None,
    }
}
