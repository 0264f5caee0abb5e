//! API-121 `response-condition-narrowed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-121",
    name: "response-condition-narrowed",
    level: Additive,
    what: "What is sent fulfils a condition that it did not have to.",
    why: "Clients can rely on more.",
    how: advice::NOTHING,
    example: ResponseSchema,
    old: "{type: string}",
    new: "{type: string, not: {enum: [a]}}",
}

fn says(delta: &Delta) -> Option<String> {
    if delta.flow != Some(Flow::Response) {
        return None;
    }
    match &delta.what {
        What::Condition { keyword, turn } if *turn == Turn::Narrower => {
            Some(format!("always under a condition (`{keyword}`)"))
        }
        What::UnionAppeared => Some("always one of several variants".into()),
        _ => None,
    }
}
