//! Showing a registry who one is: Basic, and the token flow of the distribution
//! project ("Token Authentication Specification", "OAuth2 token endpoint").
//!
//! A credential goes to the registry it was looked up for and to the token
//! service that this registry names, over TLS (plain http only on loopback),
//! and nowhere else. Tokens are kept in memory, one per set of rights, until
//! shortly before they expire.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use plimsoll_model::{Repository, Secret};
use reqwest::Url;
use serde::Deserialize;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::challenge::{Challenge, challenge};
use super::credentials::Credential;
use super::error::Error;
use super::retry::{self, Tries};
use super::target;
use super::wire::{Call, Trouble, Wire};

/// A token answer longer than this is nonsense, in bytes.
const LARGEST_TOKEN: u64 = 256 << 10;
/// How long a token lives that does not say (the specification's default).
const DEFAULT_LIFE: u64 = 60;
/// Scopes remembered from challenges.
const MOST_LEARNED: usize = 8;

/// The rights a request needs, as scopes of the token specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Access(BTreeSet<String>);

impl Access {
    pub(super) fn pull(repository: &Repository) -> Self {
        Self([format!("repository:{}:pull", repository.path())].into())
    }

    pub(super) fn push(repository: &Repository) -> Self {
        Self([format!("repository:{}:pull,push", repository.path())].into())
    }

    /// Also pull from another repository of the same registry, for mounts.
    pub(super) fn and_pull(mut self, path: &str) -> Self {
        self.0.insert(format!("repository:{path}:pull"));
        self
    }

    /// With what a registry said it needs, where that is not asked for already.
    fn with(mut self, learned: &BTreeSet<String>) -> Self {
        for scope in learned {
            let (resource, actions) = scope.rsplit_once(':').unwrap_or((scope, ""));
            let covered = self.0.iter().any(|own| {
                own.rsplit_once(':').is_some_and(|(own, rights)| {
                    own == resource && actions.split(',').all(|a| rights.split(',').any(|r| r == a))
                })
            });
            if !covered {
                self.0.insert(scope.clone());
            }
        }
        self
    }
}

/// What is known about how to be let in.
#[derive(Debug, Default)]
pub(super) struct Authenticator {
    known: Mutex<Known>,
    credential: OnceCell<Option<Credential>>,
    /// Held while a token is fetched, so that requests in parallel fetch one.
    tokens: tokio::sync::Mutex<HashMap<String, Token>>,
}

#[derive(Debug, Default)]
struct Known {
    challenge: Option<Challenge>,
    scopes: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct Token {
    value: HeaderValue,
    until: Instant,
}

/// What a token service answers.
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<Secret>,
    access_token: Option<Secret>,
    expires_in: Option<u64>,
}

impl Authenticator {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        // What it guards is replaced whole; a panic elsewhere cannot tear it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the registry has asked for authorisation in its own way.
    pub(super) fn was_challenged(&self) -> bool {
        self.known().challenge.is_some()
    }

    /// The `Authorization` header to show, once the registry has asked for one.
    pub(super) async fn header(&self, wire: &Wire, access: &Access) -> Result<Option<HeaderValue>, Trouble> {
        let (challenge, access) = {
            let known = self.known();
            (known.challenge.clone(), access.clone().with(&known.scopes))
        };
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => match self.credential(wire).await? {
                Some(Credential::Password { username, password }) => Ok(Some(basic(username, password))),
                Some(Credential::Registry(token)) => Ok(Some(bearer(wire, token)?)),
                Some(Credential::Identity(_)) | None => Ok(None),
            },
            Some(Challenge::Bearer { realm, service, .. }) => {
                if let Some(Credential::Registry(token)) = self.credential(wire).await? {
                    return Ok(Some(bearer(wire, token)?));
                }
                let key = access.0.iter().fold(String::new(), |key, scope| key + scope + " ");
                let mut tokens = self.tokens.lock().await;
                if let Some(token) = tokens.get(&key).filter(|token| token.until > Instant::now()) {
                    return Ok(Some(token.value.clone()));
                }
                let token = self.fetch(wire, &realm, service.as_deref(), &access).await?;
                tokens.insert(key, token.clone());
                Ok(Some(token.value))
            }
        }
    }

    /// Learns from a 401. True when there is something else to show.
    pub(super) async fn learn(
        &self,
        wire: &Wire,
        headers: &HeaderMap,
        shown: Option<&HeaderValue>,
    ) -> Result<bool, Error> {
        let Some(challenge) = challenge(headers) else { return Ok(false) };
        let is_bearer = {
            let mut known = self.known();
            if let Challenge::Bearer { scope: Some(scope), .. } = &challenge
                && known.scopes.len() < MOST_LEARNED
            {
                known.scopes.extend(scope.split(' ').filter(|s| !s.is_empty()).map(str::to_owned));
            }
            let is_bearer = matches!(challenge, Challenge::Bearer { .. });
            known.challenge = Some(challenge);
            is_bearer
        };
        if let Some(shown) = shown {
            self.tokens.lock().await.retain(|_, token| token.value != *shown);
        }
        let credential = self.credential(wire).await?;
        Ok(match credential {
            // What is shown as it stands does not get better by showing it again.
            Some(Credential::Registry(_)) => shown.is_none(),
            _ if is_bearer => true,
            Some(Credential::Password { .. }) => {
                shown.is_none_or(|shown| !shown.as_bytes().starts_with(b"Basic "))
            }
            Some(Credential::Identity(_)) | None => false,
        })
    }

    async fn credential(&self, wire: &Wire) -> Result<Option<&Credential>, Error> {
        let find =
            || wire.options.credentials.find(&wire.repository, wire.options.timeouts.credential_helper);
        Ok(self.credential.get_or_try_init(find).await?.as_ref())
    }

    /// Gets a token from the registry's token service.
    async fn fetch(
        &self,
        wire: &Wire,
        realm: &str,
        service: Option<&str>,
        access: &Access,
    ) -> Result<Token, Error> {
        const OPERATION: &str = "get a token";
        let misdirected = |found: String| Error::Misdirected { at: wire.at(OPERATION), found };
        let realm =
            Url::parse(realm).map_err(|e| misdirected(format!("a token realm that is no URL: {e}")))?;
        let realm = target::safe(&wire.api(""), realm).map_err(misdirected)?;
        let credential = self.credential(wire).await?;

        let mut call = wire.get(realm, OPERATION);
        match credential {
            Some(Credential::Identity(token)) => {
                call.method = Method::POST;
                call.headers.insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/x-www-form-urlencoded"),
                );
                let mut form = Url::parse("form:").expect("a URL");
                {
                    let mut form = form.query_pairs_mut();
                    form.append_pair("grant_type", "refresh_token")
                        .append_pair("client_id", "plimsoll")
                        .append_pair("refresh_token", token.reveal());
                    if let Some(service) = service {
                        form.append_pair("service", service);
                    }
                    let scopes: Vec<&str> = access.0.iter().map(String::as_str).collect();
                    form.append_pair("scope", &scopes.join(" "));
                }
                call.body = Bytes::from(form.query().unwrap_or_default().to_owned());
            }
            other => {
                if let Some(Credential::Password { username, password }) = other {
                    call.headers.insert(header::AUTHORIZATION, basic(username, password));
                }
                let mut query = call.url.query_pairs_mut();
                if let Some(service) = service {
                    query.append_pair("service", service);
                }
                for scope in &access.0 {
                    query.append_pair("scope", scope);
                }
                if let Some(Credential::Password { username, .. }) = other {
                    query.append_pair("account", username);
                }
            }
        }
        self.ask(wire, &call, credential.is_some()).await
    }

    /// Sends a token request within the retry policy and reads the answer.
    async fn ask(&self, wire: &Wire, call: &Call, with_credentials: bool) -> Result<Token, Error> {
        let mut tries = Tries::new(wire.options.retry);
        let limit = wire.options.timeouts.request;
        let answer = loop {
            // No redirects here: the request carries a credential.
            let once = async {
                let response =
                    wire.send(call, call.url.clone(), call.headers.clone(), call.body.clone().into()).await?;
                wire.read(response, LARGEST_TOKEN).await
            };
            let trouble = match tokio::time::timeout(limit, once).await {
                Ok(Ok(answer)) if retry::is_transient(answer.status) => Trouble::NotNow {
                    status: answer.status,
                    retry_after: retry::retry_after(&answer.headers, std::time::SystemTime::now()),
                    says: answer.says(),
                },
                Ok(Ok(answer)) => break answer,
                Ok(Err(trouble)) => trouble,
                Err(_) => Trouble::silence(limit),
            };
            wire.pause(&mut tries, trouble, &call.operation).await?;
        };
        let at = || wire.at(&call.operation);
        let nonsense = |found: String| Error::Nonsense { at: at(), found };
        match answer.status {
            StatusCode::OK => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST) => {
                return Err(Error::Denied { at: at(), status, with_credentials, says: answer.says() });
            }
            // What a token service writes may repeat what it was shown.
            status => return Err(nonsense(format!("the token service answered {status}"))),
        }
        let parsed: TokenAnswer = serde_json::from_slice(&answer.body)
            .map_err(|_| nonsense("a token answer that is not the JSON it should be".into()))?;
        let value = parsed
            .token
            .into_iter()
            .chain(parsed.access_token)
            .find(|token| !token.reveal().is_empty())
            .ok_or_else(|| nonsense("a token answer without a token".into()))?;
        // A tenth earlier, so that it does not expire on its way.
        let life = Duration::from_secs(parsed.expires_in.unwrap_or(DEFAULT_LIFE).clamp(DEFAULT_LIFE, 86_400));
        Ok(Token { value: bearer(wire, &value)?, until: Instant::now() + life.mul_f64(0.9) })
    }
}

fn basic(username: &str, password: &Secret) -> HeaderValue {
    let text = STANDARD.encode(format!("{username}:{}", password.reveal()));
    let mut value = HeaderValue::try_from(format!("Basic {text}")).expect("base64 is a header value");
    value.set_sensitive(true);
    value
}

fn bearer(wire: &Wire, token: &Secret) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.reveal())).map_err(|_| {
        Error::Nonsense { at: wire.at("get a token"), found: "a token that cannot stand in a header".into() }
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn learned_scopes_are_added_where_they_ask_for_more() {
        let access = Access::push(&"r.io/acme/payouts".parse().unwrap());
        let learned = |scope: &str| BTreeSet::from([scope.to_owned()]);
        assert_eq!(access.clone().with(&learned("repository:acme/payouts:pull")), access);
        assert_eq!(access.clone().with(&learned("repository:acme/payouts:push,pull")), access);
        assert_eq!(access.clone().with(&learned("repository:virtual/acme/payouts:pull")).0.len(), 2);
        assert_eq!(access.with(&learned("repository:acme/payouts:delete")).0.len(), 2);
    }

    #[test]
    fn headers_do_not_show_themselves() {
        let value = basic("alice", &Secret::new("hunter2"));
        assert_eq!(value.to_str().unwrap(), "Basic YWxpY2U6aHVudGVyMg==");
        assert_eq!(format!("{value:?}"), "Sensitive");
    }
}
