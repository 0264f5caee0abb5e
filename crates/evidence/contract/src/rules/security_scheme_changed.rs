//! API-054 `security-scheme-changed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-054",
    name: "security-scheme-changed",
    level: Breaking,
    what: "A scheme that is in use stands for something else: its type, where the key is sent, the URL \
        of tokens.",
    why: "Clients authenticate in a way that is no longer understood.",
    how: advice::ACCEPT_BOTH,
    example: SecurityScheme,
    old: "{type: apiKey, in: header, name: X-Key}",
    new: "{type: apiKey, in: query, name: X-Key}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::SchemeChanged { detail } => Some(detail.clone()),
        _ => None,
    }
}
