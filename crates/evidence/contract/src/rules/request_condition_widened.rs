//! API-119 `request-condition-widened`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-119",
    name: "request-condition-widened",
    level: Additive,
    what: "A condition is gone.",
    why: "Clients go on sending what they did.",
    how: advice::NOTHING,
    example: RequestSchema,
    old: "{type: string, not: {enum: [a]}}",
    new: "{type: string}",
}

fn says(delta: &Delta) -> Option<String> {
    if delta.flow != Some(Flow::Request) {
        return None;
    }
    match &delta.what {
        What::Condition { keyword, turn } if *turn == Turn::Wider => {
            Some(format!("accepted without a condition (`{keyword}`)"))
        }
        What::UnionVanished => Some("no longer limited to several variants".into()),
        _ => None,
    }
}
