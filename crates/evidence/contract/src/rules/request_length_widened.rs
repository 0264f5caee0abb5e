//! API-091 `request-length-widened`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-091",
    name: "request-length-widened",
    level: Additive,
    what: "Texts, lists or objects are accepted in more sizes.",
    why: "Clients go on sending what they did.",
    how: advice::NOTHING,
    example: RequestSchema,
    old: "{type: string, maxLength: 10}",
    new: "{type: string, maxLength: 100}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Length { keyword, old, new, turn }
            if delta.flow == Some(Flow::Request) && *turn == Turn::Wider =>
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
