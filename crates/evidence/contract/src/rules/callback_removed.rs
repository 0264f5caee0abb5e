//! API-012 `callback-removed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-012",
    name: "callback-removed",
    level: Breaking,
    what: "A callback, or an operation of it, is gone.",
    why: "Clients wait for a call that does not come.",
    how: advice::KEEP,
    example: Operation,
    old: "{callbacks: {paid: {'{$request.body#/url}': {post: {responses: {}}}}}, responses: {}}",
    new: "{responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::CallbackRemoved { name } => Some(format!("callback `{name}` no longer called")),
        _ => None,
    }
}
