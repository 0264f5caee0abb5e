//! API-071 `request-type-widened`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-071",
    name: "request-type-widened",
    level: Additive,
    what: "Another type of value is accepted.",
    why: "Clients go on sending what they did.",
    how: advice::NOTHING,
    example: RequestSchema,
    old: "{type: string}",
    new: "{type: [string, integer]}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Types { lost, gained } if delta.flow == Some(Flow::Request) && lost.is_empty() => {
            Some(format!("now also accepted as {gained}"))
        }
        _ => None,
    }
}
