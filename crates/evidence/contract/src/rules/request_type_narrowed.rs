//! API-070 `request-type-narrowed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-070",
    name: "request-type-narrowed",
    level: Breaking,
    what: "A type of value is no longer accepted.",
    why: "Clients that send it are refused.",
    how: advice::ACCEPT_BOTH,
    example: RequestSchema,
    old: "{type: [string, integer]}",
    new: "{type: string}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Types { lost, .. } if delta.flow == Some(Flow::Request) && !lost.is_empty() => {
            Some(format!("no longer accepted as {lost}"))
        }
        _ => None,
    }
}
