//! API-051 `security-alternative-added`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-051",
    name: "security-alternative-added",
    level: Additive,
    what: "There is another way to authenticate, or none is needed.",
    why: "Clients go on as they did.",
    how: advice::NOTHING,
    example: Operation,
    old: "{security: [{oauth: [read]}], responses: {}}",
    new: "{security: [{key: []}, {oauth: [read]}], responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::SecurityAdded { alternative } => Some(format!("{alternative} now enough to authenticate")),
        _ => None,
    }
}
