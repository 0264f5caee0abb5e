//! API-001 `operation-added`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-001",
    name: "operation-added",
    level: Additive,
    what: "An operation is new.",
    why: "Clients can do more; nothing that they did before changes.",
    how: advice::NOTHING,
    example: Document,
    old: "paths: {/pets: {get: {responses: {}}}}",
    new: "paths: {/pets: {get: {responses: {}}, post: {responses: {}}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::OperationAdded => Some("new operation".into()),
        _ => None,
    }
}
