//! API-032 `request-body-removed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-032",
    name: "request-body-removed",
    level: Breaking,
    what: "An operation takes no body any more.",
    why: "What clients send is refused or ignored.",
    how: advice::ACCEPT_BOTH,
    example: Operation,
    old: "{requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {}}",
    new: "{responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::BodyRemoved if delta.flow == Some(Flow::Request) => Some("no longer taken".into()),
        _ => None,
    }
}
