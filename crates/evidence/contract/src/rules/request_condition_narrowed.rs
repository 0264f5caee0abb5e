//! API-118 `request-condition-narrowed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-118",
    name: "request-condition-narrowed",
    level: Breaking,
    what: "There is a condition that was not there, or another one: `not`, `if`, `dependentRequired`, a \
        choice of variants.",
    why: "What clients send may be refused.",
    how: advice::ACCEPT_BOTH,
    example: RequestSchema,
    old: "{type: string}",
    new: "{type: string, not: {enum: [a]}}",
}

fn says(delta: &Delta) -> Option<String> {
    if delta.flow != Some(Flow::Request) {
        return None;
    }
    match &delta.what {
        What::Condition { keyword, turn } if *turn != Turn::Wider => {
            Some(format!("accepted only under another condition (`{keyword}`)"))
        }
        What::UnionAppeared => Some("accepted only as one of several variants".into()),
        _ => None,
    }
}
