//! API-097 `response-pattern-narrowed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-097",
    name: "response-pattern-narrowed",
    level: Additive,
    what: "A text always matches a `pattern`.",
    why: "Clients can rely on more.",
    how: advice::NOTHING,
    example: ResponseSchema,
    old: "{type: string}",
    new: "{type: string, pattern: '^a'}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Pattern { old, new, turn } if delta.flow == Some(Flow::Response) && *turn == Turn::Narrower => {
            Some(super::change("pattern", old.as_deref(), new.as_deref()))
        }
        _ => None,
    }
}
