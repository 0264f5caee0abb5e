//! API-004 `operation-deprecated`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-004",
    name: "operation-deprecated",
    level: Additive,
    what: "An operation is marked `deprecated`.",
    why: "It works as before; clients learn that they should move.",
    how: advice::NOTHING,
    example: Operation,
    old: "{responses: {}}",
    new: "{deprecated: true, x-sunset: '2027-06-30', responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::OperationDeprecated { sunset: Some(sunset) } => {
            Some(format!("deprecated, to be removed on {sunset}"))
        }
        What::OperationDeprecated { sunset: None } => Some("deprecated, with no date of removal".into()),
        _ => None,
    }
}
