//! API-123 `discriminator-changed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-123",
    name: "discriminator-changed",
    level: Breaking,
    what: "The property that tells variants apart is another one, or there is none any more.",
    why: "Generated clients look at the wrong property.",
    how: advice::SEND_BOTH,
    example: ResponseSchema,
    old: "{type: object, required: [a, b], properties: {a: {type: string}, b: {type: string}}, \
        discriminator: {propertyName: a}}",
    new: "{type: object, required: [a, b], properties: {a: {type: string}, b: {type: string}}, \
        discriminator: {propertyName: b}}",
}

fn says(delta: &Delta) -> Option<String> {
    let What::DiscriminatorChanged { old, new } = &delta.what else { return None };
    let shown = |name: &Option<String>| name.as_ref().map_or("nothing".into(), |name| format!("`{name}`"));
    Some(format!("variants told apart by {} instead of {}", shown(new), shown(old)))
}
