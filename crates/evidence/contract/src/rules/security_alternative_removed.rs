//! API-050 `security-alternative-removed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-050",
    name: "security-alternative-removed",
    level: Breaking,
    what: "A way to authenticate is no longer enough: no new alternative is satisfied by what satisfied \
        it. Names of schemes are labels; what counts is what they stand for.",
    why: "Clients that authenticate that way are refused.",
    how: advice::ACCEPT_BOTH,
    example: Operation,
    old: "{security: [{key: []}, {oauth: [read]}], responses: {}}",
    new: "{security: [{oauth: [read]}], responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::SecurityRemoved { alternative } => {
            Some(format!("{alternative} no longer enough to authenticate"))
        }
        _ => None,
    }
}
