//! API-125 `discriminator-mapping-added`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-125",
    name: "discriminator-mapping-added",
    level: Additive,
    what: "Another value tells variants apart, or one is no longer sent. Whether the variant itself is \
        new is told apart from this.",
    why: "Clients go on as they did.",
    how: advice::NOTHING,
    example: RequestSchema,
    old: "{type: object, required: [a], properties: {a: {type: string}}, discriminator: {propertyName: \
        a, mapping: {c: Cat}}}",
    new: "{type: object, required: [a], properties: {a: {type: string}}, discriminator: {propertyName: \
        a, mapping: {c: Cat, d: Dog}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match (&delta.what, delta.flow) {
        (What::MappingAdded { value }, _) => Some(format!("`{value}` now means a variant")),
        (What::MappingRemoved { value }, Some(Flow::Response)) => Some(format!("`{value}` no longer sent")),
        _ => None,
    }
}
