//! API-082 `request-value-removed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-082",
    name: "request-value-removed",
    level: Breaking,
    what: "A value of an `enum` or `const` is gone, or there is a list of values where there was none.",
    why: "Clients that send another one are refused.",
    how: advice::ACCEPT_BOTH,
    example: RequestSchema,
    old: "{type: string, enum: [cat, dog]}",
    new: "{type: string, enum: [cat]}",
}

fn says(delta: &Delta) -> Option<String> {
    if delta.flow != Some(Flow::Request) {
        return None;
    }
    match &delta.what {
        What::ValuesRemoved { values } => Some(format!("{} no longer accepted", super::listed(values))),
        What::ValuesLimited { values } => Some(format!("limited to {}", super::listed(values))),
        _ => None,
    }
}
