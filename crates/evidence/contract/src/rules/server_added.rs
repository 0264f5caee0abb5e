//! API-060 `server-added`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-060",
    name: "server-added",
    level: Additive,
    what: "The API is at another address, too.",
    why: "Clients go on as they did.",
    how: advice::NOTHING,
    example: Operation,
    old: "{servers: [{url: 'https://a.example'}], responses: {}}",
    new: "{servers: [{url: 'https://a.example'}, {url: 'https://b.example'}], responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::ServerAdded { url } => Some(format!("now also at {url}")),
        _ => None,
    }
}
