//! Credentials: shown where they belong, and nowhere else.

use bytes::Bytes;
use plimsoll_model::{Class, Diagnose as _, Lookup, Secret};
use plimsoll_registry::client::{Credential, Error, Options, Publisher, Reader, Sources};

use super::fake::{Fake, MANIFEST, Reply, Seen, html, say};
use super::image::{options, sha, small};

fn password(host: &str) -> Sources {
    let credential = Credential::Password { username: "ci".into(), password: Secret::new("hunter2") };
    Sources::default().given(host, credential)
}

fn with(credentials: Sources) -> Options {
    Options { credentials, ..options() }
}

/// A registry that wants a bearer token from its own `/token`, served by `token`.
async fn bearer(token: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Fake {
    let fake = Fake::start(move |seen| {
        if seen.path == "/token" {
            return token(seen);
        }
        if seen.header("authorization") == "Bearer good" {
            return Reply::Honest;
        }
        let port = seen.header("host");
        let challenge = format!(
            "Bearer realm=\"http://{port}/token\",service=\"reg\",scope=\"repository:acme/payouts:pull\""
        );
        Reply::Say(401, vec![("www-authenticate", challenge)], Bytes::new())
    })
    .await;
    fake.state(|state| state.tag("x", MANIFEST, small().bytes()));
    fake
}

fn good() -> Reply {
    say(200, r#"{"token":"good","expires_in":300}"#)
}

#[tokio::test]
async fn a_token_is_fetched_once_and_used_until_it_expires() {
    let fake = bearer(|_| good()).await;
    let reader = Reader::new(fake.repository(), with(password(&fake.host()))).unwrap();
    let (one, two) = tokio::join!(reader.resolve_tag("x"), reader.resolve_tag("x"));
    assert!(one.found().is_some() && two.found().is_some());
    reader.resolve_tag("x").await;
    let token = fake.log().into_iter().find(|seen| seen.path == "/token").unwrap();
    assert_eq!(fake.count("GET", "/token"), 1);
    assert_eq!(token.header("authorization"), "Basic Y2k6aHVudGVyMg==");
    assert_eq!(token.query, "service=reg&scope=repository%3Aacme%2Fpayouts%3Apull&account=ci");
    // The password went to the token service alone.
    let shown = fake.log().iter().filter(|seen| seen.header("authorization").starts_with("Basic")).count();
    assert_eq!(shown, 1);
}

#[tokio::test]
async fn a_pusher_asks_for_the_right_to_push() {
    let fake = bearer(|seen| match seen.query.contains("pull%2Cpush") {
        true => good(),
        false => say(200, r#"{"access_token":"weak"}"#),
    })
    .await;
    let publisher = Publisher::new(fake.repository(), with(password(&fake.host()))).unwrap();
    let image = small();
    publisher.push(&image.layout, &image.descriptor, &sha()).await.unwrap();
    assert_eq!(fake.count("GET", "/token"), 1);
}

#[tokio::test]
async fn an_identity_token_is_exchanged_by_post() {
    let fake = bearer(|seen| if seen.method == "POST" { good() } else { say(400, "") }).await;
    let sources = Sources::default().given(&fake.host(), Credential::Identity(Secret::new("refresh")));
    let reader = Reader::new(fake.repository(), with(sources)).unwrap();
    assert!(reader.resolve_tag("x").await.found().is_some());
    let token = fake.log().into_iter().find(|seen| seen.path == "/token").unwrap();
    assert_eq!((token.method.as_str(), token.query.as_str()), ("POST", ""), "the secret is in the body");
}

#[tokio::test]
async fn a_token_that_is_revoked_is_replaced() {
    let fake = Fake::start(|seen| match (seen.path.as_str(), seen.nth) {
        ("/token", nth) => say(200, &format!(r#"{{"token":"t{nth}"}}"#)),
        _ if seen.header("authorization") == "Bearer t1" => Reply::Honest,
        _ => Reply::Say(
            401,
            vec![("www-authenticate", format!("Bearer realm=\"http://{}/token\"", seen.header("host")))],
            Bytes::new(),
        ),
    })
    .await;
    fake.state(|state| state.tag("x", MANIFEST, small().bytes()));
    let reader = Reader::new(fake.repository(), options()).unwrap();
    assert!(reader.resolve_tag("x").await.found().is_some());
    assert_eq!(fake.count("GET", "/token"), 2);
}

#[tokio::test]
async fn a_token_service_that_fails_is_unknown_and_told_without_secrets() {
    let answers: [fn() -> Reply; 8] = [
        || say(401, ""),
        || say(403, r#"{"errors":[{"code":"DENIED","message":"no"}]}"#),
        || say(500, "hunter2"),
        || html(200),
        || say(200, "{}"),
        || say(200, r#"{"token":"bad\nheader"}"#),
        || say(200, r#"{"token":"wrong"}"#),
        || Reply::Say(302, vec![("location", "/elsewhere".into())], Bytes::new()),
    ];
    for answer in answers {
        let fake = bearer(move |_| answer()).await;
        let reader = Reader::new(fake.repository(), with(password(&fake.host()))).unwrap();
        let found = reader.resolve_tag("x").await;
        assert!(matches!(&found, Lookup::Unknown(why) if !why.contains("hunter2")), "{found:?}");
        assert_eq!(fake.count("GET", "/elsewhere"), 0);
    }
}

#[tokio::test]
async fn a_realm_in_plain_http_elsewhere_gets_nothing() {
    for realm in ["http://auth.example.com/token", "ftp://127.0.0.1/", "not a url", "http://u:p@127.0.0.1/"] {
        let fake = Fake::start(move |_| {
            Reply::Say(401, vec![("www-authenticate", format!("Bearer realm=\"{realm}\""))], Bytes::new())
        })
        .await;
        let reader = Reader::new(fake.repository(), with(password(&fake.host()))).unwrap();
        let error = reader.fetch_blob(small().blob(0), &super::image::empty_layout().1).await.unwrap_err();
        assert_eq!((error.code(), error.class()), ("REG-006", Class::Outside), "{realm}: {error:?}");
    }
}

fn basic(seen: &Seen) -> Reply {
    match seen.header("authorization") {
        "Basic Y2k6aHVudGVyMg==" => Reply::Honest,
        _ => Reply::Say(401, vec![("www-authenticate", "Basic realm=\"r\"".into())], Bytes::new()),
    }
}

#[tokio::test]
async fn basic_is_shown_after_it_was_asked_for() {
    let fake = Fake::start(basic).await;
    fake.state(|state| state.tag("x", MANIFEST, small().bytes()));
    let reader = Reader::new(fake.repository(), with(password(&fake.host()))).unwrap();
    assert!(reader.resolve_tag("x").await.found().is_some());
    assert!(reader.resolve_tag("x").await.found().is_some());
    let shown: Vec<bool> = fake.log().iter().map(|seen| !seen.header("authorization").is_empty()).collect();
    assert_eq!(shown, [false, true, true]);

    // Credentials for another port are for another registry.
    let reader = Reader::new(fake.repository(), with(password("127.0.0.1:1"))).unwrap();
    let found = reader.resolve_tag("x").await;
    assert!(matches!(&found, Lookup::Unknown(why) if why.contains("no credentials")), "{found:?}");
}

#[tokio::test]
async fn a_redirect_to_another_host_takes_no_credentials_along() {
    let storage = Fake::start(|seen| match seen.header("authorization") {
        "" => Reply::Say(200, vec![], "one".into()),
        _ => say(400, "only one auth mechanism allowed"),
    })
    .await;
    let to = format!("http://{}/object", storage.host());
    let fake = Fake::start(move |seen| match basic(seen) {
        Reply::Honest => Reply::Say(307, vec![("location", to.clone())], Bytes::new()),
        refused => refused,
    })
    .await;
    let (_folder, layout) = super::image::empty_layout();
    let reader = Reader::new(fake.repository(), with(password(&fake.host()))).unwrap();
    reader.fetch_blob(small().blob(1), &layout).await.unwrap();
    assert_eq!(storage.log().len(), 1);
}

#[tokio::test]
async fn a_challenge_from_elsewhere_is_not_answered() {
    let storage = Fake::start(|_| {
        Reply::Say(401, vec![("www-authenticate", "Basic realm=\"r\"".into())], Bytes::new())
    })
    .await;
    let to = format!("http://{}/object", storage.host());
    let fake = Fake::start(move |_| Reply::Say(307, vec![("location", to.clone())], Bytes::new())).await;
    let (_folder, layout) = super::image::empty_layout();
    let reader = Reader::new(fake.repository(), with(password(&fake.host()))).unwrap();
    let error = reader.fetch_blob(small().blob(1), &layout).await.unwrap_err();
    assert!(!matches!(error, Error::Absent { .. }), "{error:?}");
    assert!(storage.log().iter().all(|seen| seen.header("authorization").is_empty()));
}

#[tokio::test]
async fn an_upload_elsewhere_takes_no_credentials_along() {
    let storage = Fake::start(|_| say(201, "")).await;
    let to = format!("http://{}/upload", storage.host());
    let fake = Fake::start(move |seen| match basic(seen) {
        Reply::Honest if seen.method == "POST" => {
            Reply::Say(202, vec![("location", to.clone())], Bytes::new())
        }
        other => other,
    })
    .await;
    let publisher = Publisher::new(fake.repository(), with(password(&fake.host()))).unwrap();
    let image = small();
    publisher.push(&image.layout, &image.descriptor, &sha()).await.unwrap();
    assert_eq!(storage.log().len(), 3);
    assert!(storage.log().iter().all(|seen| seen.header("authorization").is_empty()));
}
