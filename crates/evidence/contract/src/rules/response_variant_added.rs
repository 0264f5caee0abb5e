//! API-116 `response-variant-added`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-116",
    name: "response-variant-added",
    level: Breaking,
    what: "There is another variant of `oneOf` or `anyOf`.",
    why: "Clients meet something that they do not know.",
    how: advice::SEND_BOTH,
    example: ResponseSchema,
    old: "{oneOf: [{type: object, title: Cat, required: [cat], properties: {cat: {type: string}}}, \
        {type: object, title: Dog, required: [dog], properties: {dog: {type: string}}}]}",
    new: "{oneOf: [{type: object, title: Cat, required: [cat], properties: {cat: {type: string}}}, \
        {type: object, title: Dog, required: [dog], properties: {dog: {type: string}}}, {type: \
        object, title: Emu, required: [emu], properties: {emu: {type: string}}}]}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::VariantsAdded { names } if delta.flow == Some(Flow::Response) => {
            Some(format!("may now be {}, which clients do not know", super::listed(names)))
        }
        _ => None,
    }
}
