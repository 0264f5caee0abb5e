//! API-124 `discriminator-mapping-removed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-124",
    name: "discriminator-mapping-removed",
    level: Breaking,
    what: "A value that tells variants apart is no longer accepted, or means another variant.",
    why: "Clients that send it are refused or misunderstood.",
    how: advice::ACCEPT_BOTH,
    example: RequestSchema,
    old: "{type: object, required: [a], properties: {a: {type: string}}, discriminator: {propertyName: \
        a, mapping: {c: Cat, d: Dog}}}",
    new: "{type: object, required: [a], properties: {a: {type: string}}, discriminator: {propertyName: \
        a, mapping: {c: Cat}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match (&delta.what, delta.flow) {
        (What::MappingChanged { value }, _) => Some(format!("`{value}` means another variant")),
        (What::MappingRemoved { value }, Some(Flow::Request)) => {
            Some(format!("`{value}` no longer means a variant"))
        }
        _ => None,
    }
}
