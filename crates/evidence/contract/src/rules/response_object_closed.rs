//! API-112 `response-object-closed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-112",
    name: "response-object-closed",
    level: Additive,
    what: "Nothing but what is named is sent.",
    why: "Clients can rely on more.",
    how: advice::NOTHING,
    example: ResponseSchema,
    old: "{type: object, properties: {id: {type: string}}}",
    new: "{type: object, properties: {id: {type: string}}, additionalProperties: false}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Closed { what } if delta.flow == Some(Flow::Response) => {
            Some(format!("no further {what} sent"))
        }
        _ => None,
    }
}
