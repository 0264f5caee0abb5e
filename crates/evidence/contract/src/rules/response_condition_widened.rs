//! API-120 `response-condition-widened`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-120",
    name: "response-condition-widened",
    level: Breaking,
    what: "A condition that what is sent fulfilled is gone, or another one.",
    why: "Clients that rely on it fail.",
    how: advice::SEND_BOTH,
    example: ResponseSchema,
    old: "{type: string, not: {enum: [a]}}",
    new: "{type: string}",
}

fn says(delta: &Delta) -> Option<String> {
    if delta.flow != Some(Flow::Response) {
        return None;
    }
    match &delta.what {
        What::Condition { keyword, turn } if *turn != Turn::Narrower => {
            Some(format!("no longer under the same condition (`{keyword}`)"))
        }
        What::UnionVanished => Some("no longer limited to several variants".into()),
        _ => None,
    }
}
