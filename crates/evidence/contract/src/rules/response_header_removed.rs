//! API-044 `response-header-removed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-044",
    name: "response-header-removed",
    level: Breaking,
    what: "A response has lost a header.",
    why: "Clients that read it find nothing.",
    how: advice::SEND_BOTH,
    example: Operation,
    old: "{responses: {'200': {description: a, headers: {X-Count: {schema: {type: integer}}}}}}",
    new: "{responses: {'200': {description: a, headers: {}}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::HeaderRemoved { name } => Some(format!("header `{name}` no longer sent")),
        _ => None,
    }
}
