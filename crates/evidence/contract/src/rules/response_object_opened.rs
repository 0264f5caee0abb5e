//! API-113 `response-object-opened`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-113",
    name: "response-object-opened",
    level: Additive,
    what: "More than what is named may be sent.",
    why: "Clients have to ignore properties that they do not know, just as with a property that is \
        new.",
    how: advice::NOTHING,
    example: ResponseSchema,
    old: "{type: object, properties: {id: {type: string}}, additionalProperties: false}",
    new: "{type: object, properties: {id: {type: string}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Opened { what } if delta.flow == Some(Flow::Response) => {
            Some(format!("further {what} may be sent"))
        }
        _ => None,
    }
}
