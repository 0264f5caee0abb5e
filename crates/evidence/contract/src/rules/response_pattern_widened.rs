//! API-096 `response-pattern-widened`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-096",
    name: "response-pattern-widened",
    level: Breaking,
    what: "A text may no longer match the `pattern` that it did.",
    why: "Clients that take it apart fail.",
    how: advice::SEND_BOTH,
    example: ResponseSchema,
    old: "{type: string, pattern: '^a'}",
    new: "{type: string}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Pattern { old, new, turn } if delta.flow == Some(Flow::Response) && *turn != Turn::Narrower => {
            Some(super::change("pattern", old.as_deref(), new.as_deref()))
        }
        _ => None,
    }
}
