//! API-077 `response-null-excluded`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-077",
    name: "response-null-excluded",
    level: Additive,
    what: "A value is never `null` any more.",
    why: "Clients are prepared for something that does not happen.",
    how: advice::NOTHING,
    example: ResponseSchema,
    old: "{type: object, properties: {name: {type: [string, 'null']}}}",
    new: "{type: object, properties: {name: {type: string}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Null { gained: false } if delta.flow == Some(Flow::Response) => {
            Some("never null any more".into())
        }
        _ => None,
    }
}
