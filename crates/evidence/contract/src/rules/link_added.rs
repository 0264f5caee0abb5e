//! API-013 `link-added`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-013",
    name: "link-added",
    level: Additive,
    what: "A response has a link that it had not.",
    why: "Clients can follow it or not.",
    how: advice::NOTHING,
    example: Operation,
    old: "{responses: {'200': {description: ok}}}",
    new: "{responses: {'200': {description: ok, links: {owner: {operationId: a}}}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::LinkAdded { name } => Some(format!("new link `{name}`")),
        _ => None,
    }
}
