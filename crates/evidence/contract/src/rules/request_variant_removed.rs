//! API-114 `request-variant-removed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-114",
    name: "request-variant-removed",
    level: Breaking,
    what: "A variant of `oneOf` or `anyOf` is gone. Variants are recognised by what they are, not by \
        their index.",
    why: "Clients that send it are refused.",
    how: advice::ACCEPT_BOTH,
    example: RequestSchema,
    old: "{oneOf: [{type: object, title: Cat, required: [cat], properties: {cat: {type: string}}}, \
        {type: object, title: Dog, required: [dog], properties: {dog: {type: string}}}, {type: \
        object, title: Emu, required: [emu], properties: {emu: {type: string}}}]}",
    new: "{oneOf: [{type: object, title: Cat, required: [cat], properties: {cat: {type: string}}}, \
        {type: object, title: Dog, required: [dog], properties: {dog: {type: string}}}]}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::VariantsRemoved { names } if delta.flow == Some(Flow::Request) => {
            Some(format!("no longer accepted as {}", super::listed(names)))
        }
        _ => None,
    }
}
