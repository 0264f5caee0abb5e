//! API-115 `request-variant-added`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-115",
    name: "request-variant-added",
    level: Additive,
    what: "There is another variant of `oneOf` or `anyOf`.",
    why: "Clients go on sending what they did.",
    how: advice::NOTHING,
    example: RequestSchema,
    old: "{oneOf: [{type: object, title: Cat, required: [cat], properties: {cat: {type: string}}}, \
        {type: object, title: Dog, required: [dog], properties: {dog: {type: string}}}]}",
    new: "{oneOf: [{type: object, title: Cat, required: [cat], properties: {cat: {type: string}}}, \
        {type: object, title: Dog, required: [dog], properties: {dog: {type: string}}}, {type: \
        object, title: Emu, required: [emu], properties: {emu: {type: string}}}]}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::VariantsAdded { names } if delta.flow == Some(Flow::Request) => {
            Some(format!("now also accepted as {}", super::listed(names)))
        }
        _ => None,
    }
}
