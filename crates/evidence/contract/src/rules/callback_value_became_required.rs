//! API-026 `callback-value-became-required`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-026",
    name: "callback-value-became-required",
    level: Additive,
    what: "The server sends something with every callback or webhook that it could leave out.",
    why: "Clients get what they had to do without.",
    how: advice::NOTHING,
    example: Operation,
    old: "{callbacks: {paid: {'{$request.body#/url}': {post: {parameters: [{in: query, name: id, \
        schema: {type: string}}], responses: {}}}}}, responses: {}}",
    new: "{callbacks: {paid: {'{$request.body#/url}': {post: {parameters: [{in: query, name: id, \
        required: true, schema: {type: string}}], responses: {}}}}}, responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    let required =
        matches!(&delta.what, What::ParameterRequired | What::BodyRequired | What::BodyAdded { .. });
    (required && delta.flow == Some(Flow::Response)).then(|| "now sent with every call".into())
}
