//! API-045 `response-header-became-optional`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-045",
    name: "response-header-became-optional",
    level: Breaking,
    what: "A header that was always sent may be missing.",
    why: "Clients that read it without asking whether it is there fail.",
    how: advice::SEND_BOTH,
    example: Operation,
    old: "{responses: {'200': {description: a, headers: {X-Count: {required: true, schema: {type: \
        integer}}}}}}",
    new: "{responses: {'200': {description: a, headers: {X-Count: {schema: {type: integer}}}}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::HeaderOptional => Some("no longer always sent".into()),
        _ => None,
    }
}
