//! API-073 `response-type-narrowed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-073",
    name: "response-type-narrowed",
    level: Additive,
    what: "A value is no longer of one of the types that it could be.",
    why: "Clients are prepared for something that does not happen.",
    how: advice::NOTHING,
    example: ResponseSchema,
    old: "{type: number}",
    new: "{type: integer}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Types { lost, gained } if delta.flow == Some(Flow::Response) && gained.is_empty() => {
            Some(format!("no longer sent as {lost}"))
        }
        _ => None,
    }
}
