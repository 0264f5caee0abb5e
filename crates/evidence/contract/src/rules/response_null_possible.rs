//! API-076 `response-null-possible`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-076",
    name: "response-null-possible",
    level: Breaking,
    what: "A value that was always there may be `null`.",
    why: "Clients that do not expect it fail, often far from where they read it.",
    how: advice::SEND_BOTH,
    example: ResponseSchema,
    old: "{type: object, properties: {name: {type: string}}}",
    new: "{type: object, properties: {name: {type: [string, 'null']}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Null { gained: true } if delta.flow == Some(Flow::Response) => Some("may now be null".into()),
        _ => None,
    }
}
