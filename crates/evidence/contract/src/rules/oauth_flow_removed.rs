//! API-055 `oauth-flow-removed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-055",
    name: "oauth-flow-removed",
    level: Breaking,
    what: "A flow of an OAuth 2 scheme is gone.",
    why: "Clients that use it get no token.",
    how: advice::KEEP,
    example: SecurityScheme,
    old: "{type: oauth2, flows: {password: {authorizationUrl: 'https://a.example', tokenUrl: \
        'https://t.example', scopes: {a: ''}}, clientCredentials: {authorizationUrl: \
        'https://a.example', tokenUrl: 'https://t.example', scopes: {a: ''}}}}",
    new: "{type: oauth2, flows: {clientCredentials: {authorizationUrl: 'https://a.example', tokenUrl: \
        'https://t.example', scopes: {a: ''}}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::SchemeFlowRemoved { name } => Some(format!("flow `{name}` no longer offered")),
        _ => None,
    }
}
