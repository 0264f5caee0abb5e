//! API-074 `request-null-refused`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-074",
    name: "request-null-refused",
    level: Breaking,
    what: "`null` is no longer accepted.",
    why: "Clients that send it are refused.",
    how: advice::ACCEPT_BOTH,
    example: RequestSchema,
    old: "{type: object, properties: {name: {type: [string, 'null']}}}",
    new: "{type: object, properties: {name: {type: string}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Null { gained: false } if delta.flow == Some(Flow::Request) => {
            Some("no longer accepted as null".into())
        }
        _ => None,
    }
}
