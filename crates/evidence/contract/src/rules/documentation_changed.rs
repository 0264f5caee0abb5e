//! API-140 `documentation-changed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-140",
    name: "documentation-changed",
    level: Editorial,
    what: "Words for people changed: descriptions, titles, examples, tags.",
    why: "Nothing changes on the wire.",
    how: advice::READ,
    example: Operation,
    old: "{description: Adds a pet., responses: {}}",
    new: "{description: Adds one pet., responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Documentation { keyword } => Some(format!("`{keyword}` reworded")),
        _ => None,
    }
}
