//! API-107 `response-property-removed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-107",
    name: "response-property-removed",
    level: Breaking,
    what: "A property is gone, or became `writeOnly`.",
    why: "Clients that read it find nothing.",
    how: advice::SEND_BOTH,
    example: ResponseSchema,
    old: "{type: object, properties: {id: {type: string}, name: {type: string}}}",
    new: "{type: object, properties: {id: {type: string}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::PropertyRemoved { now } if delta.flow == Some(Flow::Response) => Some(match now {
            Some(now) => format!("no longer sent (`{now}`)"),
            None => "no longer sent".into(),
        }),
        _ => None,
    }
}
