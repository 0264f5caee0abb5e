//! API-014 `link-removed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-014",
    name: "link-removed",
    level: Breaking,
    what: "A response has lost a link.",
    why: "Clients that follow it find nothing.",
    how: advice::SEND_BOTH,
    example: Operation,
    old: "{responses: {'200': {description: ok, links: {owner: {operationId: a}}}}}",
    new: "{responses: {'200': {description: ok}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::LinkRemoved { name } => Some(format!("link `{name}` removed")),
        _ => None,
    }
}
