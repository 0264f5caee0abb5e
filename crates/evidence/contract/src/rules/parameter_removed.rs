//! API-022 `parameter-removed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-022",
    name: "parameter-removed",
    level: Breaking,
    what: "A parameter is gone.",
    why: "Clients that send it are refused, or it is silently ignored and they get something else than \
        they asked for.",
    how: advice::ACCEPT_BOTH,
    example: Operation,
    old: "{parameters: [{in: query, name: limit, schema: {type: integer}}], responses: {}}",
    new: "{parameters: [], responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::ParameterRemoved => Some("no longer known".into()),
        _ => None,
    }
}
