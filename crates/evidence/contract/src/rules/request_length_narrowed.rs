//! API-090 `request-length-narrowed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-090",
    name: "request-length-narrowed",
    level: Breaking,
    what: "Texts, lists or objects are accepted in fewer sizes (`minLength`, `maxItems`, \
        `maxProperties` and their like).",
    why: "What clients send is refused although its type is right.",
    how: advice::ACCEPT_BOTH,
    example: RequestSchema,
    old: "{type: string, maxLength: 100}",
    new: "{type: string, maxLength: 10}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Length { keyword, old, new, turn }
            if delta.flow == Some(Flow::Request) && *turn != Turn::Wider =>
        {
            Some(super::change(
                keyword,
                old.map(|n| n.to_string()).as_deref(),
                new.map(|n| n.to_string()).as_deref(),
            ))
        }
        _ => None,
    }
}
