//! API-053 `scope-released`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-053",
    name: "scope-released",
    level: Additive,
    what: "An alternative does without a scope.",
    why: "Tokens that have it are as good as before.",
    how: advice::NOTHING,
    example: Operation,
    old: "{security: [{oauth: [read, write]}], responses: {}}",
    new: "{security: [{oauth: [read]}], responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::ScopeReleased { scheme, scopes } => {
            Some(format!("`{scheme}` no longer needs the scope {}", scopes.join(", ")))
        }
        _ => None,
    }
}
