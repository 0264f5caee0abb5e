//! API-003 `operation-retired`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-003",
    name: "operation-retired",
    level: Additive,
    what: "An operation is gone after the sunset date that was announced for it (`deprecated` with \
        `x-sunset`).",
    why: "Clients were told in time; none should call it any more.",
    how: advice::NOTHING,
    example: Document,
    old: "paths: {/pets: {get: {responses: {}}, post: {deprecated: true, x-sunset: '2026-06-30', \
        responses: {}}}}",
    new: "paths: {/pets: {get: {responses: {}}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::OperationRemoved { sunset, passed: true, .. } => {
            Some(format!("removed after its sunset date {}", sunset.as_deref().unwrap_or_default()))
        }
        _ => None,
    }
}
