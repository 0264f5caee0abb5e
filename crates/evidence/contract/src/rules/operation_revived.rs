//! API-005 `operation-revived`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-005",
    name: "operation-revived",
    level: Additive,
    what: "An operation is no longer marked `deprecated`.",
    why: "Clients need not move after all.",
    how: advice::NOTHING,
    example: Operation,
    old: "{deprecated: true, responses: {}}",
    new: "{responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::OperationRevived => Some("no longer deprecated".into()),
        _ => None,
    }
}
