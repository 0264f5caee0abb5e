//! API-010 `operation-id-changed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-010",
    name: "operation-id-changed",
    level: Editorial,
    what: "`operationId` changed.",
    why: "Nothing changes on the wire; generated clients call the operation by another name when they \
        are generated again.",
    how: advice::READ,
    example: Operation,
    old: "{operationId: addPet, responses: {}}",
    new: "{operationId: createPet, responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::OperationIdChanged { old, new } => Some(format!("`operationId` `{old}` is now `{new}`")),
        _ => None,
    }
}
