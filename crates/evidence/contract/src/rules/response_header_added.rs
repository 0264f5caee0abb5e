//! API-043 `response-header-added`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-043",
    name: "response-header-added",
    level: Additive,
    what: "A response has a header that it had not.",
    why: "Clients may read it or not.",
    how: advice::NOTHING,
    example: Operation,
    old: "{responses: {'200': {description: a, headers: {}}}}",
    new: "{responses: {'200': {description: a, headers: {X-Count: {schema: {type: integer}}}}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::HeaderAdded { name } => Some(format!("new header `{name}`")),
        _ => None,
    }
}
