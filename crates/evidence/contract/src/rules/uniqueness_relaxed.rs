//! API-100 `uniqueness-relaxed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-100",
    name: "uniqueness-relaxed",
    level: Additive,
    what: "A list may be sent with repeats, or is received without them.",
    why: "Clients go on as they did.",
    how: advice::NOTHING,
    example: RequestSchema,
    old: "{type: array, items: {type: string}, uniqueItems: true}",
    new: "{type: array, items: {type: string}}",
}

fn says(delta: &Delta) -> Option<String> {
    match (&delta.what, delta.flow) {
        (What::Unique { gained: false }, Some(Flow::Request)) => Some("elements now accepted twice".into()),
        (What::Unique { gained: true }, Some(Flow::Response)) => Some("elements never come twice".into()),
        _ => None,
    }
}
