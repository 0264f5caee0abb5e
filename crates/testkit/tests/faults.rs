//! The registry lies as it was told to, as often as it was told to.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use plimsoll_oci::{digest_of, media_type};
use plimsoll_testkit::registry::{Fault, TestRegistry};
use reqwest::{Client, Response};

struct Setup {
    registry: TestRegistry,
    client: Client,
}

impl Setup {
    /// An index without entries, tagged `v1`.
    async fn new() -> Self {
        let setup =
            Self { registry: TestRegistry::start(), client: Client::builder().no_proxy().build().unwrap() };
        let put =
            setup.client.put(setup.url("/v2/a/manifests/v1")).header("content-type", media_type::OCI_INDEX);
        assert_eq!(put.body(INDEX).send().await.unwrap().status(), 201);
        setup.registry.faults().forget_requests();
        setup
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.registry.url())
    }

    async fn get(&self) -> reqwest::Result<Response> {
        self.client.get(self.url("/v2/a/manifests/v1")).send().await
    }
}

const INDEX: &str = r#"{"schemaVersion":2,"manifests":[]}"#;

#[tokio::test]
async fn answers_that_lie() {
    let setup = Setup::new().await;
    let faults = setup.registry.faults();
    let other = digest_of(b"other");
    let manifest = Bytes::from_static(b"{\"swapped\":true}");
    let swapped = Fault::Manifest { media_type: "application/x".into(), bytes: manifest.clone() };
    let header = |response: &Response, name: &str| {
        response.headers().get(name).map(|v| v.to_str().unwrap().to_owned())
    };
    let digest = "docker-content-digest";

    faults
        .on("GET", "/manifests/")
        .skip(1)
        .times(1)
        .then(Fault::Status { status: 429, retry_after: Some(3) });
    assert_eq!(setup.get().await.unwrap().status(), 200);
    let response = setup.get().await.unwrap();
    assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (429, Some("3".into())));
    assert_eq!(setup.get().await.unwrap().status(), 200);

    faults.on("GET", "v1").times(1).then(Fault::DigestHeader(other));
    assert_eq!(header(&setup.get().await.unwrap(), digest), Some(other.to_string()));
    faults.on("*", "v1").times(1).then(Fault::NoDigestHeader);
    assert_eq!(header(&setup.get().await.unwrap(), digest), None);
    faults.on("GET", "v1").times(1).then(Fault::Body("lies".into()));
    let response = setup.get().await.unwrap();
    assert_eq!(header(&response, digest), Some(digest_of(INDEX.as_bytes()).to_string()));
    assert_eq!(response.text().await.unwrap(), "lies");
    faults.on("GET", "v1").times(1).then(Fault::Truncate(5));
    assert!(setup.get().await.unwrap().bytes().await.is_err());
    faults.on("GET", "v1").times(1).then(swapped);
    let response = setup.get().await.unwrap();
    assert_eq!(header(&response, digest), Some(digest_of(&manifest).to_string()));
    assert_eq!(response.bytes().await.unwrap(), manifest);
    faults.on("GET", "v1").times(1).then(Fault::Html);
    assert_eq!(header(&setup.get().await.unwrap(), "content-type"), Some("text/html".into()));

    faults.on("GET", "v1").then(Fault::Html);
    faults.clear();
    assert_eq!(setup.get().await.unwrap().text().await.unwrap(), INDEX);
    assert_eq!((faults.count("GET", "/manifests/v1"), faults.count("PUT", "")), (10, 0));
    assert_eq!(faults.requests()[0].path, "/v2/a/manifests/v1");
}

#[tokio::test]
async fn connections_that_break() {
    let setup = Setup::new().await;
    let faults = setup.registry.faults();
    let there = |bytes: &'static [u8]| {
        let request = setup.client.head(setup.url(&format!("/v2/a/blobs/{}", digest_of(bytes))));
        async move { request.send().await.unwrap().status() == 200 }
    };
    for (fault, bytes, persisted) in [
        (Fault::Reset, &b"one"[..], false),
        (Fault::ResetAfter(2), b"two", false),
        (Fault::LoseAnswer, b"three", true),
    ] {
        faults.on("POST", "/uploads/").times(1).then(fault.clone());
        let url = setup.url(&format!("/v2/a/blobs/uploads/?digest={}", digest_of(bytes)));
        assert!(setup.client.post(url).body(bytes).send().await.is_err(), "{fault:?}");
        assert_eq!(there(bytes).await, persisted, "{fault:?}");
    }
}

#[tokio::test]
async fn a_stalled_request_waits_for_its_release() {
    let setup = Setup::new().await;
    let faults = setup.registry.faults();
    faults.on("GET", "v1").times(1).then(Fault::Stall);
    let request = setup.client.get(setup.url("/v2/a/manifests/v1")).send();
    let request = tokio::spawn(request);
    faults.stalled(1).await;
    assert!(!request.is_finished());
    faults.release();
    assert_eq!(request.await.unwrap().unwrap().text().await.unwrap(), INDEX);
}
