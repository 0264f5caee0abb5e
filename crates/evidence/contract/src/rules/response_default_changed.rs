//! API-128 `response-default-changed`.

use super::{advice, rule};
use crate::delta::{Delta, Flow, What};

rule! {
    code: "API-128",
    name: "response-default-changed",
    level: Editorial,
    what: "`default` of a value that the server sends changed.",
    why: "The server sends the value; a default for it says nothing to clients.",
    how: advice::READ,
    example: ResponseSchema,
    old: "{type: integer, default: 10}",
    new: "{type: integer, default: 20}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Default { .. } if delta.flow == Some(Flow::Response) => {
            Some("`default` of responses changed".into())
        }
        _ => None,
    }
}
