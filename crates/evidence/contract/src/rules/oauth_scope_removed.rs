//! API-057 `oauth-scope-removed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-057",
    name: "oauth-scope-removed",
    level: Breaking,
    what: "An OAuth 2 scheme no longer has a scope.",
    why: "Clients that ask for it get no token.",
    how: advice::KEEP,
    example: SecurityScheme,
    old: "{type: oauth2, flows: {clientCredentials: {authorizationUrl: 'https://a.example', tokenUrl: \
        'https://t.example', scopes: {a: '', b: ''}}}}",
    new: "{type: oauth2, flows: {clientCredentials: {authorizationUrl: 'https://a.example', tokenUrl: \
        'https://t.example', scopes: {a: ''}}}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::SchemeScopeRemoved { name } => Some(format!("scope `{name}` no longer granted")),
        _ => None,
    }
}
