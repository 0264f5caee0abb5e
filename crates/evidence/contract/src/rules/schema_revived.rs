//! API-130 `schema-revived`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-130",
    name: "schema-revived",
    level: Additive,
    what: "A property or schema is no longer marked `deprecated`.",
    why: "Clients need not do without after all.",
    how: advice::NOTHING,
    example: ResponseSchema,
    old: "{type: object, properties: {id: {type: string, deprecated: true}}}",
    new: "{type: object, properties: {id: {type: string}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::SchemaRevived => Some("no longer deprecated".into()),
        _ => None,
    }
}
