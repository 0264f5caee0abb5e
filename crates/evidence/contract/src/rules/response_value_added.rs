//! API-084 `response-value-added`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-084",
    name: "response-value-added",
    level: Breaking,
    what: "An `enum` has another value, or there is no list any more. A list that is marked \
        `x-extensible-enum` promised nothing and is left alone.",
    why: "Clients that tell all values apart meet one that they do not know.",
    how: advice::SEND_BOTH,
    example: ResponseSchema,
    old: "{type: string, enum: [cat]}",
    new: "{type: string, enum: [cat, dog]}",
}

fn says(delta: &Delta) -> Option<String> {
    if delta.flow != Some(Flow::Response) {
        return None;
    }
    match &delta.what {
        What::ValuesAdded { values } => {
            Some(format!("may now be {}, which clients do not know", super::listed(values)))
        }
        What::ValuesUnlimited => Some("may now be any value, no longer one of a list".into()),
        _ => None,
    }
}
