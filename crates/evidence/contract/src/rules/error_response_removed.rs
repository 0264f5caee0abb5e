//! API-042 `error-response-removed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-042",
    name: "error-response-removed",
    level: Additive,
    what: "A status of failure is gone.",
    why: "Clients are prepared for something that does not happen.",
    how: advice::NOTHING,
    example: Operation,
    old: "{responses: {'200': {description: a}, '404': {description: a}}}",
    new: "{responses: {'200': {description: a}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::ResponseRemoved { success: false } => Some("no longer sent".into()),
        _ => None,
    }
}
