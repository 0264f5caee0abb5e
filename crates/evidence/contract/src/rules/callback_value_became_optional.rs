//! API-025 `callback-value-became-optional`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-025",
    name: "callback-value-became-optional",
    level: Breaking,
    what: "What the server sent with every callback or webhook, it may now leave out.",
    why: "Clients that read it without asking whether it is there fail.",
    how: advice::SEND_BOTH,
    example: Operation,
    old: "{callbacks: {paid: {'{$request.body#/url}': {post: {parameters: [{in: query, name: id, \
        required: true, schema: {type: string}}], responses: {}}}}}, responses: {}}",
    new: "{callbacks: {paid: {'{$request.body#/url}': {post: {parameters: [{in: query, name: id, \
        schema: {type: string}}], responses: {}}}}}, responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    let optional = matches!(&delta.what, What::ParameterOptional | What::BodyOptional | What::BodyRemoved);
    (optional && delta.flow == Some(Flow::Response)).then(|| "no longer sent with every call".into())
}
