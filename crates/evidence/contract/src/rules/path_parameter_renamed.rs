//! API-028 `path-parameter-renamed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-028",
    name: "path-parameter-renamed",
    level: Editorial,
    what: "A parameter of a path has another name.",
    why: "The name is not sent; generated clients use another word when they are generated again.",
    how: advice::READ,
    example: Document,
    old: "paths: {'/pets/{id}': {get: {parameters: [{in: path, name: id, required: true, schema: \
        {type: string}}], responses: {}}}}",
    new: "paths: {'/pets/{pet}': {get: {parameters: [{in: path, name: pet, required: true, schema: \
        {type: string}}], responses: {}}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::ParameterRenamed { old, new } => Some(format!("path parameter `{old}` is now called `{new}`")),
        _ => None,
    }
}
