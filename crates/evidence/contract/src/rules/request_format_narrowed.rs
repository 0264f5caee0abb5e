//! API-078 `request-format-narrowed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-078",
    name: "request-format-narrowed",
    level: Breaking,
    what: "A value has to have a format that it had not to, or another one.",
    why: "What clients send is refused although its type is right.",
    how: advice::ACCEPT_BOTH,
    example: RequestSchema,
    old: "{type: string}",
    new: "{type: string, format: date}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Format { old, new, turn } if delta.flow == Some(Flow::Request) && *turn != Turn::Wider => {
            Some(super::change("format", old.as_deref(), new.as_deref()))
        }
        _ => None,
    }
}
