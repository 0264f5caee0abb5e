//! API-093 `response-length-narrowed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-093",
    name: "response-length-narrowed",
    level: Additive,
    what: "Texts, lists or objects stay within narrower sizes.",
    why: "Clients can rely on more.",
    how: advice::NOTHING,
    example: ResponseSchema,
    old: "{type: string, maxLength: 100}",
    new: "{type: string, maxLength: 10}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Length { keyword, old, new, turn }
            if delta.flow == Some(Flow::Response) && *turn == Turn::Narrower =>
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
