//! API-041 `success-response-removed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-041",
    name: "success-response-removed",
    level: Breaking,
    what: "A status of success is gone, and neither its range nor `default` covers it.",
    why: "Clients that wait for this status take the answer for a failure.",
    how: advice::SEND_BOTH,
    example: Operation,
    old: "{responses: {'200': {description: a}, '201': {description: a}}}",
    new: "{responses: {'201': {description: a}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::ResponseRemoved { success: true } => Some("no longer sent".into()),
        _ => None,
    }
}
