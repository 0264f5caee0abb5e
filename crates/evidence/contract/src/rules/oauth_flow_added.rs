//! API-056 `oauth-flow-added`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-056",
    name: "oauth-flow-added",
    level: Additive,
    what: "An OAuth 2 scheme has another flow.",
    why: "Clients go on as they did.",
    how: advice::NOTHING,
    example: SecurityScheme,
    old: "{type: oauth2, flows: {clientCredentials: {authorizationUrl: 'https://a.example', tokenUrl: \
        'https://t.example', scopes: {a: ''}}}}",
    new: "{type: oauth2, flows: {password: {authorizationUrl: 'https://a.example', tokenUrl: \
        'https://t.example', scopes: {a: ''}}, clientCredentials: {authorizationUrl: \
        'https://a.example', tokenUrl: 'https://t.example', scopes: {a: ''}}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::SchemeFlowAdded { name } => Some(format!("flow `{name}` now offered")),
        _ => None,
    }
}
