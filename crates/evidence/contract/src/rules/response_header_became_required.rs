//! API-046 `response-header-became-required`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-046",
    name: "response-header-became-required",
    level: Additive,
    what: "A header that could be missing is always sent.",
    why: "Clients need not ask whether it is there.",
    how: advice::NOTHING,
    example: Operation,
    old: "{responses: {'200': {description: a, headers: {X-Count: {schema: {type: integer}}}}}}",
    new: "{responses: {'200': {description: a, headers: {X-Count: {required: true, schema: {type: \
        integer}}}}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::HeaderRequired => Some("now always sent".into()),
        _ => None,
    }
}
