//! API-034 `request-body-became-optional`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-034",
    name: "request-body-became-optional",
    level: Additive,
    what: "A required body may be left out.",
    why: "Clients go on sending it.",
    how: advice::NOTHING,
    example: Operation,
    old: "{requestBody: {required: true, content: {application/json: {schema: {type: object}}}}, \
        responses: {}}",
    new: "{requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::BodyOptional if delta.flow == Some(Flow::Request) => Some("may now be left out".into()),
        _ => None,
    }
}
