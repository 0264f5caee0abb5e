//! API-094 `request-pattern-narrowed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, Turn, What};

rule! {
    code: "API-094",
    name: "request-pattern-narrowed",
    level: Breaking,
    what: "A text has to match a `pattern`, or another one.",
    why: "What clients send is refused although its type is right.",
    how: advice::ACCEPT_BOTH,
    example: RequestSchema,
    old: "{type: string}",
    new: "{type: string, pattern: '^a'}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Pattern { old, new, turn } if delta.flow == Some(Flow::Request) && *turn != Turn::Wider => {
            Some(super::change("pattern", old.as_deref(), new.as_deref()))
        }
        _ => None,
    }
}
