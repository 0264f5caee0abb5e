//! API-008 `stability-lowered`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-008",
    name: "stability-lowered",
    level: Breaking,
    what: "`x-stability-level` of an operation went down (stable, beta, alpha, draft); none counts as \
        stable.",
    why: "Clients relied on a promise that is taken back.",
    how: advice::KEEP,
    example: Operation,
    old: "{x-stability-level: stable, responses: {}}",
    new: "{x-stability-level: beta, responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::StabilityChanged { old, new, lower: true } => Some(format!("{new} instead of {old}")),
        _ => None,
    }
}
