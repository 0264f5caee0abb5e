//! API-081 `response-format-narrowed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-081",
    name: "response-format-narrowed",
    level: Additive,
    what: "A value always has a format that it need not have had.",
    why: "Clients can rely on more.",
    how: advice::NOTHING,
    example: ResponseSchema,
    old: "{type: string}",
    new: "{type: string, format: date}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Format { old, new, turn } if delta.flow == Some(Flow::Response) && *turn == Turn::Narrower => {
            Some(super::change("format", old.as_deref(), new.as_deref()))
        }
        _ => None,
    }
}
