//! API-111 `request-object-opened`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-111",
    name: "request-object-opened",
    level: Additive,
    what: "More than what is named is accepted.",
    why: "Clients go on sending what they did.",
    how: advice::NOTHING,
    example: RequestSchema,
    old: "{type: object, properties: {id: {type: string}}, additionalProperties: false}",
    new: "{type: object, properties: {id: {type: string}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Opened { what } if delta.flow == Some(Flow::Request) => {
            Some(format!("further {what} now accepted"))
        }
        _ => None,
    }
}
