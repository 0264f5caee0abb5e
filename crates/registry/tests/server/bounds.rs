//! What it refuses by its options: credentials, writing, size, number, time.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use plimsoll_model::Secret;
use plimsoll_oci::digest_of;
use plimsoll_registry::error::Code;
use plimsoll_registry::server::{Credentials, OpenError, Options, Registry};
use reqwest::StatusCode;

use crate::{Server, header, refused};

#[tokio::test]
async fn credentials_are_asked_for() {
    let credentials = Credentials { username: "ci".into(), password: Secret::new("secret") };
    let server = Server::with(Options { credentials: Some(credentials), ..Options::default() }).await;
    for path in ["/v2/", "/v2/a/tags/list", "/v2/_catalog", "/nowhere"] {
        let response = server.get(path).await;
        assert!(header(&response, "www-authenticate").starts_with("Basic "));
        refused(response, 401, Code::Unauthorized).await;
        let response = server.send("GET", path).basic_auth("ci", Some("wrong")).send().await.unwrap();
        refused(response, 401, Code::Unauthorized).await;
        let response = server.send("GET", path).basic_auth("ci", Some("secret")).send().await.unwrap();
        assert_ne!(response.status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_read_only_registry_reads() {
    let server = Server::start().await;
    let (digest, _) = server.push_image("a", "v1", "one").await;
    let server = Server::at(server.stop().await, Options { read_only: true, ..Options::default() }).await;
    assert_eq!(server.get("/v2/a/manifests/v1").await.status(), StatusCode::OK);
    for (method, path) in [
        ("POST", "/v2/a/blobs/uploads/".to_owned()),
        ("PUT", "/v2/a/manifests/v2".into()),
        ("DELETE", format!("/v2/a/manifests/{digest}")),
    ] {
        refused(server.send(method, &path).send().await.unwrap(), 405, Code::Unsupported).await;
    }
}

#[tokio::test]
async fn blobs_have_a_largest_size() {
    let server = Server::with(Options { max_blob: 10, ..Options::default() }).await;
    let digest = digest_of(b"0123456789a");
    let response =
        server.send("POST", &format!("/v2/a/blobs/uploads/?digest={digest}")).body("0123456789a").send();
    refused(response.await.unwrap(), 413, Code::SizeInvalid).await;
    // Piece by piece, and without saying a length.
    let location = server.open_upload("a").await;
    assert_eq!(
        server.send("PATCH", &location).body("012345").send().await.unwrap().status(),
        StatusCode::ACCEPTED
    );
    let response =
        server.send("PATCH", &location).header("content-range", "6-10").body("6789a").send().await.unwrap();
    refused(response, 413, Code::SizeInvalid).await;
    let parts = ["67", "89", "a"].map(|part| Ok::<_, std::io::Error>(bytes::Bytes::from(part)));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(parts));
    refused(server.send("PATCH", &location).body(body).send().await.unwrap(), 413, Code::SizeInvalid).await;
    refused(server.get(&location).await, 404, Code::BlobUploadUnknown).await;
    server.push_blob("a", b"0123456789").await;
}

#[tokio::test]
async fn sessions_are_counted_and_expire() {
    let options = Options { max_sessions: 2, ..Options::default() };
    let server = Server::with(options.clone()).await;
    let first = server.open_upload("a").await;
    server.open_upload("a").await;
    let response = server.send("POST", "/v2/a/blobs/uploads/").send().await.unwrap();
    assert!(response.headers().contains_key("retry-after"));
    refused(response, 429, Code::TooManyRequests).await;
    server.send("DELETE", &first).send().await.unwrap();
    server.open_upload("a").await;
    let server = Server::with(Options { session_idle: Duration::ZERO, ..options }).await;
    let first = server.open_upload("a").await;
    for _ in 0..5 {
        server.open_upload("a").await;
    }
    refused(server.get(&first).await, 404, Code::BlobUploadUnknown).await;
}

#[tokio::test]
async fn a_body_that_stops_is_given_up_and_the_upload_goes_on() {
    let server = Server::with(Options { stall: Duration::from_millis(50), ..Options::default() }).await;
    let location = server.open_upload("a").await;
    let address = server.base.trim_start_matches("http://").to_owned();
    let head = format!("PATCH {location} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 9\r\n\r\n01234");
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8(answer.to_vec()).unwrap()
    });
    assert_eq!(answer.await.unwrap(), "HTTP/1.1 408");
    assert_eq!(header(&server.get(&location).await, "range"), "0-4");
}

#[tokio::test]
async fn heads_are_bounded() {
    let server = Server::start().await;
    let large = server.send("GET", "/v2/").header("x-large", "x".repeat(1 << 20)).send().await;
    // The connection may break while the client still writes.
    assert!(large.is_err() || large.is_ok_and(|response| response.status().as_u16() == 431));
    let mut many = server.send("GET", "/v2/");
    for n in 0..200 {
        many = many.header(format!("x-{n}"), "x");
    }
    assert!(many.send().await.is_ok_and(|response| response.status().as_u16() == 431));
    assert_eq!(server.get("/v2/").await.status(), StatusCode::OK);
}

#[test]
fn a_folder_is_served_once() {
    let root = tempfile::tempdir().unwrap();
    let first = Registry::open(root.path(), Options::default()).unwrap();
    assert!(matches!(Registry::open(root.path(), Options::default()), Err(OpenError::InUse { .. })));
    drop(first);
    Registry::open(root.path(), Options::default()).unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(Registry::open(&file, Options::default()), Err(OpenError::Storage { .. })));
}
