//! API-063 `server-variable-widened`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-063",
    name: "server-variable-widened",
    level: Additive,
    what: "A variable of an address can have another value.",
    why: "Clients go on as they did.",
    how: advice::NOTHING,
    example: Operation,
    old: "{servers: [{url: 'https://{r}.example', variables: {r: {default: eu, enum: [eu]}}}], \
        responses: {}}",
    new: "{servers: [{url: 'https://{r}.example', variables: {r: {default: eu, enum: [eu, us]}}}], \
        responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::ServerVariable { detail, narrower: false } => Some(detail.clone()),
        _ => None,
    }
}
