//! The identity of the job that runs this: GitHub Actions, GitLab CI, or a
//! token in the environment.

use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use jiff::Timestamp;
use plimsoll_model::Secret;
use reqwest::Url;
use serde::Deserialize;

use super::token::{IdentityToken, LONGEST};
use crate::endpoint::may_be_asked;
use crate::error::{Cause, Error, Service};
use crate::http::{Call, Http, Options};

/// A token that was put into the environment, as GitLab's `id_tokens` do.
const TOKEN: &str = "SIGSTORE_ID_TOKEN";
/// Where a GitHub job asks for its token.
const GITHUB_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
/// What it shows there.
const GITHUB_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// The environment variables of this process, or a test's.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + Send + Sync + 'a;

/// Where an identity token comes from.
#[derive(Debug, Clone)]
pub enum TokenSource {
    /// It was configured, and has been resolved already.
    Given {
        /// The token.
        token: Secret,
        /// How it was configured, for messages: `env:NAME`, `file:PATH`, `command:CMD`.
        origin: String,
    },
    /// What the environment offers: `SIGSTORE_ID_TOKEN`, then GitHub Actions.
    Ambient,
}

impl TokenSource {
    /// Gets the token, for `audience` and good at `now`.
    ///
    /// # Errors
    /// There is none; the message says which permission or variable is
    /// missing. Or it cannot be used, or GitHub's endpoint does not give it.
    pub async fn token(
        &self,
        environment: &Environment<'_>,
        audience: &str,
        options: &Options,
        now: Timestamp,
    ) -> Result<IdentityToken, Error> {
        let set = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
        if let Self::Given { token, origin } = self {
            return IdentityToken::read(token.clone(), origin, audience, now);
        }
        if let Some(token) = set(TOKEN) {
            return IdentityToken::read(Secret::new(token), &format!("env:{TOKEN}"), audience, now);
        }
        match (set(GITHUB_URL), set(GITHUB_TOKEN)) {
            (Some(url), Some(shown)) => {
                let token = github(&url, &Secret::new(shown), audience, options).await?;
                IdentityToken::read(token, "GitHub Actions", audience, now)
            }
            _ => Err(absent(&set).into()),
        }
    }
}

/// What is missing, by where this runs.
fn absent(set: &dyn Fn(&str) -> Option<String>) -> Cause {
    let says = |name: &str| set(name).is_some_and(|value| value == "true" || value == "1");
    let (found, hint) = if says("GITHUB_ACTIONS") {
        let missing: Vec<&str> =
            [GITHUB_URL, GITHUB_TOKEN].into_iter().filter(|name| set(name).is_none()).collect();
        let found = format!("this is GitHub Actions, and {} is not set", missing.join(" and "));
        (found, "add `permissions: { id-token: write, contents: read }` to the job")
    } else if says("GITLAB_CI") {
        let found = format!("this is GitLab CI, and {TOKEN} is not set");
        (found, "add `id_tokens: { SIGSTORE_ID_TOKEN: { aud: sigstore } }` to the job")
    } else {
        let found = format!("{TOKEN} is not set, and this is neither GitHub Actions nor GitLab CI");
        (found, "set SIGSTORE_ID_TOKEN, or sign with a key instead: `plimsoll keys generate`")
    };
    Cause::NoToken { found, hint: hint.into() }
}

/// Asks GitHub for a token for `audience` (GitHub docs, "OpenID Connect
/// reference", "Methods for requesting the OIDC token").
async fn github(url: &str, shown: &Secret, audience: &str, options: &Options) -> Result<Secret, Error> {
    #[derive(Deserialize)]
    struct Answered {
        value: String,
    }
    let unusable = |reason: String| Cause::Options { option: GITHUB_URL.into(), reason };
    let mut url = Url::parse(url).map_err(|e| unusable(format!("it is no URL: {e}")))?;
    may_be_asked(&url).map_err(unusable)?;
    url.query_pairs_mut().append_pair("audience", audience);
    let mut call = Call::get(Service::Tokens, url).with_secret(shown.clone());
    let bearer = HeaderValue::from_str(&format!("bearer {}", shown.reveal()));
    let mut bearer = bearer.map_err(|_| Cause::Options {
        option: GITHUB_TOKEN.into(),
        reason: "it holds characters that a header cannot".into(),
    })?;
    bearer.set_sensitive(true);
    call.headers.insert(AUTHORIZATION, bearer);
    call.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let answer = Http::new(options.clone()).ask(&call, 2 * LONGEST).await?.accepted()?;
    // Nothing of the body goes into a message: it holds the token.
    match serde_json::from_slice::<Answered>(&answer.body) {
        Ok(answered) => Ok(Secret::new(answered.value)),
        Err(_) => Err(answer.wrong("JSON with `value`, the token", "something else")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use plimsoll_model::Diagnose as _;

    async fn ambient(variables: &[(&str, &str)]) -> Error {
        let environment = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let options = Options::default();
        TokenSource::Ambient
            .token(&environment, "sigstore", &options, Timestamp::UNIX_EPOCH)
            .await
            .unwrap_err()
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let cases = [
            (&[][..], "SIGSTORE_ID_TOKEN", "SIGSTORE_ID_TOKEN"),
            (&[("GITHUB_ACTIONS", "true")], GITHUB_URL, "id-token: write"),
            (
                &[("GITHUB_ACTIONS", "true"), (GITHUB_URL, "https://x.example")],
                GITHUB_TOKEN,
                "id-token: write",
            ),
            (&[("GITLAB_CI", "true")], "SIGSTORE_ID_TOKEN", "id_tokens:"),
            (&[("GITLAB_CI", "true"), (TOKEN, " ")], "SIGSTORE_ID_TOKEN", "aud: sigstore"),
        ];
        for (variables, found, hint) in cases {
            let error = ambient(variables).await;
            assert_eq!(error.code(), "KLS-001");
            assert!(error.found().unwrap().contains(found), "{:?}", error.found());
            assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
        }
        let error = ambient(&[(TOKEN, "no token")]).await;
        assert_eq!(error.code(), "KLS-002");
    }

    #[tokio::test]
    async fn a_request_token_is_not_sent_in_the_clear() {
        for url in ["http://token.actions.example/?x=1", "ftp://127.0.0.1/", "nonsense"] {
            let error = ambient(&[(GITHUB_URL, url), (GITHUB_TOKEN, "s3cret")]).await;
            assert_eq!(error.code(), "KLS-007", "{url}: {error}");
        }
    }
}
