//! API-103 `request-property-removed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-103",
    name: "request-property-removed",
    level: Breaking,
    what: "A property is gone, or became `readOnly`.",
    why: "What clients send in it is refused, or silently ignored.",
    how: advice::ACCEPT_BOTH,
    example: RequestSchema,
    old: "{type: object, properties: {id: {type: string}, name: {type: string}}}",
    new: "{type: object, properties: {id: {type: string}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::PropertyRemoved { now } if delta.flow == Some(Flow::Request) => Some(match now {
            Some(now) => format!("no longer accepted (`{now}`)"),
            None => "no longer accepted".into(),
        }),
        _ => None,
    }
}
