//! API-083 `request-value-added`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-083",
    name: "request-value-added",
    level: Additive,
    what: "An `enum` has another value, or there is no list any more.",
    why: "Clients go on sending what they did.",
    how: advice::NOTHING,
    example: RequestSchema,
    old: "{type: string, enum: [cat]}",
    new: "{type: string, enum: [cat, dog]}",
}

fn says(delta: &Delta) -> Option<String> {
    if delta.flow != Some(Flow::Request) {
        return None;
    }
    match &delta.what {
        What::ValuesAdded { values } => Some(format!("{} now also accepted", super::listed(values))),
        What::ValuesUnlimited => Some("no longer limited to a list of values".into()),
        _ => None,
    }
}
