//! API-015 `link-changed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-015",
    name: "link-changed",
    level: Breaking,
    what: "A link of a response leads to another operation, or with other parameters.",
    why: "Clients that follow it end somewhere else.",
    how: advice::SEND_BOTH,
    example: Operation,
    old: "{responses: {'200': {links: {owner: {operationId: a}}}}}",
    new: "{responses: {'200': {links: {owner: {operationId: b}}}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::LinkChanged { name } => Some(format!("link `{name}` leads elsewhere")),
        _ => None,
    }
}
