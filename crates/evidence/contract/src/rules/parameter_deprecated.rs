//! API-029 `parameter-deprecated`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-029",
    name: "parameter-deprecated",
    level: Additive,
    what: "A parameter is marked `deprecated`.",
    why: "It works as before; clients learn that they should do without.",
    how: advice::NOTHING,
    example: Operation,
    old: "{parameters: [{in: query, name: limit, schema: {type: integer}}], responses: {}}",
    new: "{parameters: [{in: query, name: limit, deprecated: true, schema: {type: integer}}], \
        responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::ParameterDeprecated => Some("deprecated".into()),
        _ => None,
    }
}
