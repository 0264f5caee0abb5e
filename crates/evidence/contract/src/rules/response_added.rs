//! API-040 `response-added`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-040",
    name: "response-added",
    level: Additive,
    what: "A response with another status is described.",
    why: "Clients have to expect statuses that they do not know (RFC 9110, section 15) and treat them \
        as the class they are of.",
    how: advice::NOTHING,
    example: Operation,
    old: "{responses: {'200': {description: a}}}",
    new: "{responses: {'200': {description: a}, '404': {description: a}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::ResponseAdded => Some("now possible".into()),
        _ => None,
    }
}
