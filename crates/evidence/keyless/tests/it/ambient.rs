//! Where identities come from, end to end: as GitHub Actions and GitLab CI
//! offer them.

use jiff::Timestamp;
use plimsoll_evidence_keyless::{AUDIENCE, Error, IdentityToken, TokenSource};
use plimsoll_model::{Diagnose as _, Secret};
use plimsoll_testkit::registry::Fault;
use plimsoll_testkit::sigstore::{Claims, GITHUB_REQUEST_TOKEN, Log, Sigstore};

use super::{keyless, options};

async fn ambient(variables: &[(&str, &str)], audience: &str) -> Result<IdentityToken, Error> {
    let environment =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    TokenSource::Ambient.token(&environment, audience, &options(), Timestamp::now()).await
}

#[tokio::test]
async fn a_github_job_asks_for_its_token() {
    let sigstore = Sigstore::start();
    let url = sigstore.github_request_url();
    let variables = |shown| {
        [
            ("GITHUB_ACTIONS", "true"),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", shown),
        ]
    };
    let token = ambient(&variables(GITHUB_REQUEST_TOKEN), AUDIENCE).await.unwrap();
    assert_eq!(token.origin(), "GitHub Actions");
    assert_eq!(token.claims().subject, "repo:acme/payouts:ref:refs/heads/main");
    let certified = keyless(&sigstore, Log::V1, options());
    assert_eq!(certified.certify(&token).await.unwrap().identity().subject, super::WORKFLOW);
    let seen = sigstore.issuer().faults().requests();
    assert_eq!(seen.last().unwrap().query, "api-version=2.0&audience=sigstore");

    let error = ambient(&variables("another-secret"), AUDIENCE).await.unwrap_err();
    assert_eq!(error.code(), "KLS-011");
    assert!(!format!("{error} {error:?} {:?}", error.found()).contains("another-secret"));

    sigstore
        .issuer()
        .faults()
        .on("GET", "/github")
        .times(2)
        .then(Fault::Status { status: 503, retry_after: None });
    ambient(&variables(GITHUB_REQUEST_TOKEN), AUDIENCE).await.unwrap();
    sigstore.issuer().faults().on("GET", "/github").times(1).then(Fault::Html);
    let error = ambient(&variables(GITHUB_REQUEST_TOKEN), AUDIENCE).await.unwrap_err();
    assert_eq!(error.code(), "KLS-012");
}

#[tokio::test]
async fn a_gitlab_job_is_given_its_token() {
    let sigstore = Sigstore::start();
    let text = sigstore.token(&Claims::gitlab("acme/payouts"));
    let token = ambient(&[("GITLAB_CI", "true"), ("SIGSTORE_ID_TOKEN", &text)], AUDIENCE).await.unwrap();
    assert_eq!(token.origin(), "env:SIGSTORE_ID_TOKEN");
    let keyless = keyless(&sigstore, Log::V2, options());
    let certified = keyless.certify(&token).await.unwrap();
    let expected = "https://gitlab.com/acme/payouts//.gitlab-ci.yml@refs/heads/main";
    assert_eq!(certified.identity().subject, expected);
    certified.sign(&super::statements(1)).await.unwrap();
    // It wins over GitHub's: somebody put it there.
    let both =
        [("SIGSTORE_ID_TOKEN", text.as_str()), ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://nowhere.example")];
    assert_eq!(ambient(&both, AUDIENCE).await.unwrap().origin(), "env:SIGSTORE_ID_TOKEN");
}

#[tokio::test]
async fn a_token_that_was_given_is_taken_as_it_is() {
    let sigstore = Sigstore::start();
    let given = |claims: Claims| {
        let token = Secret::new(format!("{}\n", sigstore.token(&claims)));
        TokenSource::Given { token, origin: "file:token".into() }
    };
    let nothing = |_: &str| None;
    let read = async |claims| given(claims).token(&nothing, AUDIENCE, &options(), Timestamp::now()).await;
    let token = read(Claims::email("dev@acme.example")).await.unwrap();
    let keyless = keyless(&sigstore, Log::V1, options());
    assert_eq!(keyless.certify(&token).await.unwrap().identity().subject, "dev@acme.example");
    let expired = read(Claims::email("dev@acme.example").expires_in(-60)).await.unwrap_err();
    assert_eq!((expired.code(), expired.to_string().contains("file:token")), ("KLS-003", true));
    let audience = read(Claims::email("dev@acme.example").with("aud", "https://github.com/acme")).await;
    assert_eq!(audience.unwrap_err().code(), "KLS-004");
}
