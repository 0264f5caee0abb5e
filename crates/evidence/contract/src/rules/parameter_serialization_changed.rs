//! API-027 `parameter-serialization-changed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-027",
    name: "parameter-serialization-changed",
    level: Breaking,
    what: "The value of a parameter is written in another way: `style`, `explode`, `allowReserved`, or \
        `content` instead of `schema`. Defaults are written out first, and single values are the \
        same in most styles.",
    why: "What clients send is read as something else.",
    how: advice::ACCEPT_BOTH,
    example: Operation,
    old: "{parameters: [{in: query, name: ids, schema: {type: array, items: {type: string}}}], \
        responses: {}}",
    new: "{parameters: [{in: query, name: ids, explode: false, schema: {type: array, items: {type: \
        string}}}], responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::ParameterSerialization { old, new } => Some(format!("written as {new} instead of {old}")),
        _ => None,
    }
}
