//! API-058 `oauth-scope-added`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-058",
    name: "oauth-scope-added",
    level: Additive,
    what: "An OAuth 2 scheme has another scope.",
    why: "Clients ask for it when they need it.",
    how: advice::NOTHING,
    example: SecurityScheme,
    old: "{type: oauth2, flows: {clientCredentials: {authorizationUrl: 'https://a.example', tokenUrl: \
        'https://t.example', scopes: {a: ''}}}}",
    new: "{type: oauth2, flows: {clientCredentials: {authorizationUrl: 'https://a.example', tokenUrl: \
        'https://t.example', scopes: {a: '', b: ''}}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::SchemeScopeAdded { name } => Some(format!("scope `{name}` now granted")),
        _ => None,
    }
}
