//! API-109 `response-property-became-required`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-109",
    name: "response-property-became-required",
    level: Additive,
    what: "A property that could be missing is always sent.",
    why: "Clients need not ask whether it is there.",
    how: advice::NOTHING,
    example: ResponseSchema,
    old: "{type: object, properties: {id: {type: string}}}",
    new: "{type: object, required: [id], properties: {id: {type: string}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::PropertyRequired { name } if delta.flow == Some(Flow::Response) => {
            Some(format!("`{name}` now always sent"))
        }
        _ => None,
    }
}
