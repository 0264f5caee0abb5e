//! API-108 `response-property-became-optional`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-108",
    name: "response-property-became-optional",
    level: Breaking,
    what: "A property that was always sent may be missing.",
    why: "Clients that read it without asking whether it is there fail.",
    how: advice::SEND_BOTH,
    example: ResponseSchema,
    old: "{type: object, required: [id], properties: {id: {type: string}}}",
    new: "{type: object, properties: {id: {type: string}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::PropertyOptional { name } if delta.flow == Some(Flow::Response) => {
            Some(format!("`{name}` no longer always sent"))
        }
        _ => None,
    }
}
