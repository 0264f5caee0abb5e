//! API-098 `request-repeats-refused`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-098",
    name: "request-repeats-refused",
    level: Breaking,
    what: "A list may no longer have an element twice (`uniqueItems`).",
    why: "Clients that send one are refused.",
    how: advice::ACCEPT_BOTH,
    example: RequestSchema,
    old: "{type: array, items: {type: string}}",
    new: "{type: array, items: {type: string}, uniqueItems: true}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Unique { gained: true } if delta.flow == Some(Flow::Request) => {
            Some("elements no longer accepted twice".into())
        }
        _ => None,
    }
}
