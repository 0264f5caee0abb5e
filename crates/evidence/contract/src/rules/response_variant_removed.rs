//! API-117 `response-variant-removed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-117",
    name: "response-variant-removed",
    level: Additive,
    what: "A variant of `oneOf` or `anyOf` is gone.",
    why: "Clients are prepared for something that does not happen.",
    how: advice::NOTHING,
    example: ResponseSchema,
    old: "{oneOf: [{type: object, title: Cat, required: [cat], properties: {cat: {type: string}}}, \
        {type: object, title: Dog, required: [dog], properties: {dog: {type: string}}}, {type: \
        object, title: Emu, required: [emu], properties: {emu: {type: string}}}]}",
    new: "{oneOf: [{type: object, title: Cat, required: [cat], properties: {cat: {type: string}}}, \
        {type: object, title: Dog, required: [dog], properties: {dog: {type: string}}}]}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::VariantsRemoved { names } if delta.flow == Some(Flow::Response) => {
            Some(format!("no longer sent as {}", super::listed(names)))
        }
        _ => None,
    }
}
