//! API-061 `server-removed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-061",
    name: "server-removed",
    level: Breaking,
    what: "The API is no longer at an address.",
    why: "Clients that call it there reach nothing.",
    how: advice::KEEP,
    example: Operation,
    old: "{servers: [{url: 'https://a.example'}, {url: 'https://b.example'}], responses: {}}",
    new: "{servers: [{url: 'https://a.example'}], responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::ServerRemoved { url } => Some(format!("no longer at {url}")),
        _ => None,
    }
}
