//! API-127 `request-default-added`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-127",
    name: "request-default-added",
    level: Additive,
    what: "It is said what is meant where a client sends nothing.",
    why: "What was open is fixed.",
    how: advice::NOTHING,
    example: RequestSchema,
    old: "{type: integer}",
    new: "{type: integer, default: 20}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Default { old: None, new: Some(new) } if delta.flow == Some(Flow::Request) => {
            Some(format!("{new} where nothing is sent"))
        }
        _ => None,
    }
}
