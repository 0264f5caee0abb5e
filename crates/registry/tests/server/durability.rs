//! Restart, sudden end, and content that is there or not, never in between.

use plimsoll_model::Diagnose as _;
use plimsoll_oci::digest_of;
use plimsoll_registry::error::Code;
use plimsoll_registry::server::{OpenError, Options, PAGES};
use plimsoll_testkit::registry::{Fault, TestRegistry};
use reqwest::StatusCode;

use crate::{SHA, Server, header, refused};

fn temporary_files(root: &std::path::Path, repository: &str) -> usize {
    std::fs::read_dir(root.join(repository).join(".tmp")).unwrap().count()
}

#[tokio::test]
async fn a_restart_keeps_content_and_forgets_sessions() {
    let server = Server::start().await;
    let (digest, bytes) = server.push_image("acme/a", SHA, "one").await;
    let location = server.open_upload("acme/a").await;
    server.send("PATCH", &location).body("partial").send().await.unwrap();
    assert_eq!(temporary_files(server.root.path(), "acme/a"), 1);
    let root = server.stop().await;
    // As a kill would leave it: a file whose writer is gone.
    std::fs::write(root.path().join("acme/a/.tmp/new-left"), "partial").unwrap();
    let server = Server::at(root, Options::default()).await;
    assert_eq!(temporary_files(server.root.path(), "acme/a"), 0);
    refused(server.get(&location).await, 404, Code::BlobUploadUnknown).await;
    let found = server.get(&format!("/v2/acme/a/manifests/{SHA}")).await;
    assert_eq!(header(&found, "docker-content-digest"), digest.to_string());
    assert_eq!(found.bytes().await.unwrap(), bytes);
    let found = server.get(&format!("/v2/acme/a/blobs/{}", digest_of(b"one"))).await;
    assert_eq!(found.text().await.unwrap(), "one");
}

#[tokio::test]
async fn a_server_that_ends_in_the_middle_of_an_upload_leaves_nothing() {
    let mut registry = TestRegistry::start();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let bytes = vec![1u8; 3_000_000];
    let url = format!("{}/v2/a/blobs/uploads/?digest={}", registry.url(), digest_of(&bytes));
    registry.faults().on("POST", "/blobs/uploads/").times(1).then(Fault::ResetAfter(1_000_000));
    assert!(client.post(&url).body(bytes.clone()).send().await.is_err());
    let restarted = tokio::task::spawn_blocking(move || {
        registry.restart();
        registry
    });
    let registry = restarted.await.unwrap();
    assert_eq!(temporary_files(registry.root(), "a"), 0);
    let blob = format!("{}/v2/a/blobs/{}", registry.url(), digest_of(&bytes));
    assert_eq!(client.get(&blob).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(client.post(&url).body(bytes).send().await.unwrap().status(), StatusCode::CREATED);
    assert_eq!(client.get(&blob).send().await.unwrap().status(), StatusCode::OK);
}

/// Failed but persisted: the answer is lost, the content is there, and the
/// same push again is fine.
#[tokio::test]
async fn a_lost_answer_does_not_lose_the_content() {
    let registry = TestRegistry::start();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/v2/a/blobs/uploads/?digest={}", registry.url(), digest_of(b"content"));
    registry.faults().on("POST", "/blobs/uploads/").times(1).then(Fault::LoseAnswer);
    assert!(client.post(&url).body("content").send().await.is_err());
    let blob = format!("{}/v2/a/blobs/{}", registry.url(), digest_of(b"content"));
    assert_eq!(client.get(&blob).send().await.unwrap().text().await.unwrap(), "content");
    assert_eq!(client.post(&url).body("content").send().await.unwrap().status(), StatusCode::CREATED);
}

#[tokio::test]
async fn requests_under_way_finish_when_it_ends() {
    let server = Server::start().await;
    let bytes = vec![5u8; 8_000_000];
    let digest = server.push_blob("a", &bytes).await;
    // Its head is here, its body is not.
    let response = server.get(&format!("/v2/a/blobs/{digest}")).await;
    let stopping = tokio::spawn(server.stop());
    assert_eq!(response.bytes().await.unwrap(), bytes);
    stopping.await.unwrap();
}

#[test]
fn each_code_has_a_page() {
    let errors = [
        OpenError::InUse { root: "/srv".into() },
        OpenError::Storage { action: "open", path: "/srv".into(), source: std::io::Error::other("x") },
    ];
    for error in errors {
        assert!(PAGES.iter().any(|page| page.code == error.code()), "{}", error.code());
        assert!(error.hint().is_some());
    }
}
