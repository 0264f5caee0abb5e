//! API-009 `stability-raised`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-009",
    name: "stability-raised",
    level: Additive,
    what: "`x-stability-level` of an operation went up.",
    why: "Clients may rely on more.",
    how: advice::NOTHING,
    example: Operation,
    old: "{x-stability-level: beta, responses: {}}",
    new: "{x-stability-level: stable, responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::StabilityChanged { old, new, lower: false } => Some(format!("{new} instead of {old}")),
        _ => None,
    }
}
