//! API-085 `response-value-removed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-085",
    name: "response-value-removed",
    level: Additive,
    what: "A value of an `enum` is gone, or there is a list where there was none.",
    why: "Clients are prepared for something that does not happen.",
    how: advice::NOTHING,
    example: ResponseSchema,
    old: "{type: string, enum: [cat, dog]}",
    new: "{type: string, enum: [cat]}",
}

fn says(delta: &Delta) -> Option<String> {
    if delta.flow != Some(Flow::Response) {
        return None;
    }
    match &delta.what {
        What::ValuesRemoved { values } => Some(format!("no longer {}", super::listed(values))),
        What::ValuesLimited { values } => Some(format!("always one of {}", super::listed(values))),
        _ => None,
    }
}
