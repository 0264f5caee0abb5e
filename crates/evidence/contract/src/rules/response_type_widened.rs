//! API-072 `response-type-widened`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-072",
    name: "response-type-widened",
    level: Breaking,
    what: "A value may be of a type that it was not.",
    why: "Clients cannot read it.",
    how: advice::SEND_BOTH,
    example: ResponseSchema,
    old: "{type: integer}",
    new: "{type: number}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Types { gained, .. } if delta.flow == Some(Flow::Response) && !gained.is_empty() => {
            Some(format!("now sent as {gained}"))
        }
        _ => None,
    }
}
