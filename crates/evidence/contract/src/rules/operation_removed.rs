//! API-002 `operation-removed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-002",
    name: "operation-removed",
    level: Breaking,
    what: "An operation is gone, and no sunset date that was announced has passed.",
    why: "Every client that calls it fails.",
    how: advice::KEEP,
    example: Document,
    old: "paths: {/pets: {get: {responses: {}}, post: {responses: {}}}}",
    new: "paths: {/pets: {get: {responses: {}}}}",
}

fn says(delta: &Delta) -> Option<String> {
    let What::OperationRemoved { deprecated, sunset, passed: false } = &delta.what else { return None };
    Some(match (deprecated, sunset) {
        (true, Some(sunset)) => format!("removed before its sunset date {sunset}"),
        (true, None) => "removed; it was deprecated, but no sunset date was announced".into(),
        (false, _) => "removed without having been deprecated".into(),
    })
}
