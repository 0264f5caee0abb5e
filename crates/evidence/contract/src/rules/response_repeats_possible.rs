//! API-099 `response-repeats-possible`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-099",
    name: "response-repeats-possible",
    level: Breaking,
    what: "A list may have an element twice.",
    why: "Clients that take it for a set lose elements or fail.",
    how: advice::SEND_BOTH,
    example: ResponseSchema,
    old: "{type: array, items: {type: string}, uniqueItems: true}",
    new: "{type: array, items: {type: string}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Unique { gained: false } if delta.flow == Some(Flow::Response) => {
            Some("elements may now come twice".into())
        }
        _ => None,
    }
}
