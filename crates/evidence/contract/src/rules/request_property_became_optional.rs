//! API-105 `request-property-became-optional`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-105",
    name: "request-property-became-optional",
    level: Additive,
    what: "A required property may be left out.",
    why: "Clients go on sending it.",
    how: advice::NOTHING,
    example: RequestSchema,
    old: "{type: object, required: [id], properties: {id: {type: string}}}",
    new: "{type: object, properties: {id: {type: string}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::PropertyOptional { name } if delta.flow == Some(Flow::Request) => {
            Some(format!("`{name}` may now be left out"))
        }
        _ => None,
    }
}
