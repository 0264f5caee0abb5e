//! API-129 `schema-deprecated`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-129",
    name: "schema-deprecated",
    level: Additive,
    what: "A property or schema is marked `deprecated`.",
    why: "It works as before; clients learn that they should do without.",
    how: advice::NOTHING,
    example: ResponseSchema,
    old: "{type: object, properties: {id: {type: string}}}",
    new: "{type: object, properties: {id: {type: string, deprecated: true}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::SchemaDeprecated => Some("deprecated".into()),
        _ => None,
    }
}
