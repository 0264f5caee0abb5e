//! API-075 `request-null-accepted`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-075",
    name: "request-null-accepted",
    level: Additive,
    what: "`null` is accepted.",
    why: "Clients go on sending what they did.",
    how: advice::NOTHING,
    example: RequestSchema,
    old: "{type: object, properties: {name: {type: string}}}",
    new: "{type: object, properties: {name: {type: [string, 'null']}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Null { gained: true } if delta.flow == Some(Flow::Request) => {
            Some("now also accepted as null".into())
        }
        _ => None,
    }
}
