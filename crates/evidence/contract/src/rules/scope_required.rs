//! API-052 `scope-required`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-052",
    name: "scope-required",
    level: Breaking,
    what: "An alternative needs a scope that it did not.",
    why: "Tokens that were issued without it are refused.",
    how: advice::ACCEPT_BOTH,
    example: Operation,
    old: "{security: [{oauth: [read]}], responses: {}}",
    new: "{security: [{oauth: [read, write]}], responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::ScopeRequired { scheme, scopes } => {
            Some(format!("`{scheme}` now needs the scope {}", scopes.join(", ")))
        }
        _ => None,
    }
}
