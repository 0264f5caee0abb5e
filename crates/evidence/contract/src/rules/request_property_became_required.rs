//! API-104 `request-property-became-required`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-104",
    name: "request-property-became-required",
    level: Breaking,
    what: "A property that could be left out is required. A `default` does not help: validators refuse \
        before they look at it.",
    why: "Clients that leave it out are refused.",
    how: advice::ACCEPT_BOTH,
    example: RequestSchema,
    old: "{type: object, properties: {id: {type: string}}}",
    new: "{type: object, required: [id], properties: {id: {type: string}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::PropertyRequired { name } if delta.flow == Some(Flow::Request) => {
            Some(format!("`{name}` now required"))
        }
        _ => None,
    }
}
