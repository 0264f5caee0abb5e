//! API-092 `response-length-widened`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-092",
    name: "response-length-widened",
    level: Breaking,
    what: "Texts, lists or objects may be longer or shorter than they were.",
    why: "Clients meet values that they did not make room for.",
    how: advice::SEND_BOTH,
    example: ResponseSchema,
    old: "{type: string, maxLength: 10}",
    new: "{type: string, maxLength: 100}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Length { keyword, old, new, turn }
            if delta.flow == Some(Flow::Response) && *turn != Turn::Narrower =>
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
