//! API-011 `callback-added`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-011",
    name: "callback-added",
    level: Additive,
    what: "The server announces a callback that it did not know.",
    why: "Clients that do not ask for it do not get it.",
    how: advice::NOTHING,
    example: Operation,
    old: "{responses: {}}",
    new: "{callbacks: {paid: {'{$request.body#/url}': {post: {responses: {}}}}}, responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::CallbackAdded { name } => Some(format!("new callback `{name}`")),
        _ => None,
    }
}
