//! API-126 `request-default-changed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-126",
    name: "request-default-changed",
    level: Breaking,
    what: "What is meant where a client sends nothing is another value, or is no longer said.",
    why: "Clients that leave it out get something else than before, without an error.",
    how: advice::ACCEPT_BOTH,
    example: RequestSchema,
    old: "{type: integer, default: 10}",
    new: "{type: integer, default: 20}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Default { old: Some(old), new } if delta.flow == Some(Flow::Request) => {
            Some(super::change("default", Some(old.as_str()), new.as_deref()))
        }
        _ => None,
    }
}
