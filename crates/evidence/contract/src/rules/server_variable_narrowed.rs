//! API-062 `server-variable-narrowed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-062",
    name: "server-variable-narrowed",
    level: Breaking,
    what: "A variable of an address can no longer have a value, or has another default.",
    why: "Clients that use it reach nothing, or another server.",
    how: advice::KEEP,
    example: Operation,
    old: "{servers: [{url: 'https://{r}.example', variables: {r: {default: eu, enum: [eu, us]}}}], \
        responses: {}}",
    new: "{servers: [{url: 'https://{r}.example', variables: {r: {default: eu, enum: [eu]}}}], \
        responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::ServerVariable { detail, narrower: true } => Some(detail.clone()),
        _ => None,
    }
}
