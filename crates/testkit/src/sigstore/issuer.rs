//! The OIDC issuer: discovery, keys, tokens for any claims; and GitHub's token
//! endpoint for a job that may ask for one.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::keys::{EcKey, hex};

/// What a token says. Begin with [`Claims::new`] or one of the services' own.
#[derive(Debug, Clone)]
pub struct Claims {
    fields: Map<String, Value>,
    lifetime: i64,
}

impl Claims {
    /// A token about `subject` for the audience `sigstore`, good for ten minutes.
    pub fn new(subject: &str) -> Self {
        let fields = Map::from_iter([("sub".into(), subject.into()), ("aud".into(), "sigstore".into())]);
        Self { fields, lifetime: 600 }
    }

    /// A person's, by a verified e-mail address.
    pub fn email(address: &str) -> Self {
        Self::new("a-number-of-the-provider").with("email", address).with("email_verified", true)
    }

    /// A GitHub Actions job's, in `repository` (`owner/name`) on branch `main`.
    pub fn github(repository: &str) -> Self {
        let workflow = format!("{repository}/.github/workflows/build.yml@refs/heads/main");
        Self::new(&format!("repo:{repository}:ref:refs/heads/main"))
            .with("repository", repository)
            .with("ref", "refs/heads/main")
            .with("job_workflow_ref", workflow.as_str())
    }

    /// A GitLab CI job's, in `project` (`group/name`) on branch `main`.
    pub fn gitlab(project: &str) -> Self {
        let config = format!("gitlab.com/{project}//.gitlab-ci.yml@refs/heads/main");
        Self::new(&format!("project_path:{project}:ref_type:branch:ref:main"))
            .with("project_path", project)
            .with("ci_config_ref_uri", config.as_str())
    }

    /// One more claim, or another value for one.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// How long it is good for, in seconds; negative for one that has expired.
    #[must_use]
    pub fn expires_in(mut self, seconds: i64) -> Self {
        self.lifetime = seconds;
        self
    }
}

/// What GitHub's endpoint wants to see before it gives a token.
pub const GITHUB_REQUEST_TOKEN: &str = "job-4711-request-token";

pub(super) struct Issuer {
    key: EcKey,
    url: String,
}

impl Issuer {
    pub(super) fn new(url: String) -> Self {
        Self { key: EcKey::generate(), url }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    fn key_id(&self) -> String {
        hex(&self.key.id()[..8])
    }

    /// A signed token.
    pub(super) fn token(&self, claims: &Claims) -> String {
        let now = Timestamp::now().as_second();
        let mut fields = claims.fields.clone();
        fields.entry("iss").or_insert_with(|| self.url.clone().into());
        fields.insert("iat".into(), (now - 5).into());
        fields.insert("nbf".into(), (now - 5).into());
        fields.insert("exp".into(), (now + claims.lifetime).into());
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "ES256", "kid": self.key_id(), "typ": "JWT"});
        let signed = format!("{}.{}", part(&header), part(&Value::Object(fields)));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign_fixed(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// What a token says, if this issuer made it for `sigstore` and it is good now.
    pub(super) fn read(&self, token: &str) -> Result<Map<String, Value>, &'static str> {
        let claims = super::jws_claims(token).ok_or("it is no token")?;
        let again = |claims: &Map<String, Value>| {
            let (signed, signature) = token.rsplit_once('.')?;
            let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
            let known = claims.get("iss").and_then(Value::as_str) == Some(self.url.as_str());
            (known && self.key.verifies_fixed(signed.as_bytes(), &signature)).then_some(())
        };
        again(&claims).ok_or("it is not by this issuer")?;
        if claims.get("aud").and_then(Value::as_str) != Some("sigstore") {
            return Err("expected audience \"sigstore\"");
        }
        if claims.get("exp").and_then(Value::as_i64).is_none_or(|exp| exp <= Timestamp::now().as_second()) {
            return Err("token is expired");
        }
        Ok(claims)
    }

    pub(super) fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/keys", get(keys))
            .route("/github/token", get(github))
            .with_state(Arc::clone(self))
    }
}

async fn configuration(State(issuer): State<Arc<Issuer>>) -> Response {
    let url = issuer.url();
    axum::Json(json!({
        "issuer": url,
        "jwks_uri": format!("{url}/keys"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
    .into_response()
}

async fn keys(State(issuer): State<Arc<Issuer>>) -> Response {
    let (x, y) = issuer.key.coordinates();
    let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
    let kid = issuer.key_id();
    let key = json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid, "x": x, "y": y});
    axum::Json(json!({ "keys": [key] })).into_response()
}

/// `GET $ACTIONS_ID_TOKEN_REQUEST_URL&audience=…`, as a GitHub runner answers it.
async fn github(
    State(issuer): State<Arc<Issuer>>,
    Query(query): Query<std::collections::HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let shown = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !shown.eq_ignore_ascii_case(&format!("bearer {GITHUB_REQUEST_TOKEN}")) {
        return (StatusCode::UNAUTHORIZED, axum::Json(json!({"message": "bad credentials"}))).into_response();
    }
    let audience = query.get("audience").map_or("https://github.com/acme", String::as_str);
    let token = issuer.token(&Claims::github("acme/payouts").with("aud", audience));
    axum::Json(json!({"count": token.len(), "value": token})).into_response()
}
