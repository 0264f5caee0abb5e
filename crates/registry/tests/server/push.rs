//! Pushing blobs: each way, each wrong way.

use std::io::Write as _;

use plimsoll_oci::digest_of;
use plimsoll_registry::error::Code;
use reqwest::StatusCode;

use crate::{Server, header, refused};

async fn is_there(server: &Server, repository: &str, bytes: &[u8]) -> bool {
    let path = format!("/v2/{repository}/blobs/{}", digest_of(bytes));
    let response = server.get(&path).await;
    response.status() == StatusCode::OK && response.bytes().await.unwrap() == bytes
}

#[tokio::test]
async fn end_4_and_6_post_then_put() {
    let server = Server::start().await;
    let digest = digest_of(b"content");
    let location = server.open_upload("acme/a").await;
    let response =
        server.send("PUT", &format!("{location}?digest={digest}")).body("content").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(header(&response, "location"), format!("/v2/acme/a/blobs/{digest}"));
    assert_eq!(header(&response, "docker-content-digest"), digest.to_string());
    assert!(is_there(&server, "acme/a", b"content").await);
    refused(server.get(&location).await, 404, Code::BlobUploadUnknown).await;
}

#[tokio::test]
async fn end_5_chunks_in_order() {
    let server = Server::start().await;
    let location = server.open_upload("a").await;
    let status = server.get(&location).await;
    assert_eq!((status.status(), header(&status, "range")), (StatusCode::NO_CONTENT, "0-0".into()));
    let chunk = |range: &'static str, body: &'static str| {
        server.send("PATCH", &location).header("content-range", range).body(body).send()
    };
    let response = chunk("0-4", "01234").await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!((header(&response, "range"), header(&response, "location")), ("0-4".into(), location.clone()));
    for (range, body, status, code) in [
        ("0-4", "01234", 416, Code::RangeInvalid),
        ("6-9", "6789", 416, Code::RangeInvalid),
        ("nonsense", "5", 416, Code::RangeInvalid),
        ("5-9", "5678", 400, Code::SizeInvalid),
        ("5-7", "56789", 400, Code::SizeInvalid),
    ] {
        let response = chunk(range, body).await.unwrap();
        assert_eq!(header(&response, "range"), "0-4", "{range}");
        refused(response, status, code).await;
        assert_eq!(header(&server.get(&location).await, "range"), "0-4", "nothing of it was taken");
    }
    assert_eq!(chunk("5-7", "567").await.unwrap().status(), StatusCode::ACCEPTED);
    let digest = digest_of(b"0123456789");
    let path = format!("{location}?digest={digest}");
    let wrong = server.send("PUT", &path).header("content-range", "9-10").body("89").send().await.unwrap();
    refused(wrong, 416, Code::RangeInvalid).await;
    let closed = server.send("PUT", &path).header("content-range", "8-9").body("89").send().await.unwrap();
    assert_eq!(closed.status(), StatusCode::CREATED);
    assert!(is_there(&server, "a", b"0123456789").await);
}

#[tokio::test]
async fn a_stream_has_no_range_and_no_length() {
    let server = Server::start().await;
    let location = server.open_upload("a").await;
    let parts = ["01", "234", "5"].map(|part| Ok::<_, std::io::Error>(bytes::Bytes::from(part)));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(parts));
    let response = server.send("PATCH", &location).body(body).send().await.unwrap();
    assert_eq!((response.status(), header(&response, "range")), (StatusCode::ACCEPTED, "0-5".into()));
    let path = format!("{location}?digest={}", digest_of(b"012345"));
    assert_eq!(server.send("PUT", &path).send().await.unwrap().status(), StatusCode::CREATED);
    assert!(is_there(&server, "a", b"012345").await);
}

#[tokio::test]
async fn what_a_closing_request_can_get_wrong() {
    let server = Server::start().await;
    let other = digest_of(b"other");
    for (query, status, keeps) in [
        (String::new(), 400, true),
        ("?digest=sha256:short".into(), 400, true),
        (format!("?digest=sha512:{}", "0".repeat(128)), 400, true),
        (format!("?digest={other}"), 400, false),
    ] {
        let location = server.open_upload("a").await;
        let response =
            server.send("PUT", &format!("{location}{query}")).body("content").send().await.unwrap();
        refused(response, status, Code::DigestInvalid).await;
        assert_eq!(server.get(&location).await.status().is_success(), keeps, "{query}");
    }
    let response =
        server.send("POST", &format!("/v2/a/blobs/uploads/?digest={other}")).body("content").send();
    let text = refused(response.await.unwrap(), 400, Code::DigestInvalid).await;
    assert!(text.contains(&other.to_string()) && text.contains(&digest_of(b"content").to_string()));
    assert!(!is_there(&server, "a", b"content").await && !is_there(&server, "a", b"other").await);
    let response = server.send("POST", "/v2/a/blobs/uploads/?digest-algorithm=sha512").send().await.unwrap();
    refused(response, 400, Code::DigestInvalid).await;
}

#[tokio::test]
async fn end_14_a_cancelled_upload_is_gone_and_sessions_are_of_one_repository() {
    let server = Server::start().await;
    let location = server.open_upload("a").await;
    let elsewhere = location.replace("/v2/a/", "/v2/b/");
    for method in ["GET", "PATCH", "DELETE"] {
        let response = server.send(method, &elsewhere).body("x").send().await.unwrap();
        refused(response, 404, Code::BlobUploadUnknown).await;
    }
    server.send("PATCH", &location).body("partial").send().await.unwrap();
    assert_eq!(server.send("DELETE", &location).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    for method in ["GET", "PATCH", "DELETE"] {
        refused(server.send(method, &location).send().await.unwrap(), 404, Code::BlobUploadUnknown).await;
    }
}

#[tokio::test]
async fn end_11_mounts() {
    let server = Server::start().await;
    let digest = server.push_blob("acme/a", b"shared").await;
    let mount =
        |into: &str, query: String| server.send("POST", &format!("/v2/{into}/blobs/uploads/?{query}")).send();
    let response = mount("acme/b", format!("mount={digest}&from=acme/a")).await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(header(&response, "location"), format!("/v2/acme/b/blobs/{digest}"));
    assert!(is_there(&server, "acme/b", b"shared").await);
    let inode = |repository: &str| {
        use std::os::unix::fs::MetadataExt as _;
        let path = server.root.path().join(repository).join("blobs/sha256").join(digest.hex());
        path.metadata().unwrap().ino()
    };
    assert_eq!(inode("acme/a"), inode("acme/b"), "it is the same file");
    // Gone from one, it stays in the other.
    let path = format!("/v2/acme/a/blobs/{digest}");
    assert_eq!(server.send("DELETE", &path).send().await.unwrap().status(), StatusCode::ACCEPTED);
    assert!(is_there(&server, "acme/b", b"shared").await);
    for query in [
        format!("mount={digest}&from=acme/a"),
        format!("mount={digest}&from=acme/unknown"),
        format!("mount={digest}&from=../b"),
        format!("mount={digest}"),
    ] {
        let response = mount("acme/c", query.clone()).await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{query}");
        assert!(header(&response, "location").starts_with("/v2/acme/c/blobs/uploads/"));
    }
    assert!(!is_there(&server, "acme/c", b"shared").await);
    refused(mount("acme/c", "mount=sha256:x&from=acme/a".into()).await.unwrap(), 400, Code::DigestInvalid)
        .await;
}

#[tokio::test]
async fn end_10_deleting_blobs() {
    let server = Server::start().await;
    let digest = server.push_blob("a", b"content").await;
    let path = format!("/v2/a/blobs/{digest}");
    assert_eq!(server.send("DELETE", &path).send().await.unwrap().status(), StatusCode::ACCEPTED);
    refused(server.send("DELETE", &path).send().await.unwrap(), 404, Code::BlobUnknown).await;
    refused(server.get(&path).await, 404, Code::BlobUnknown).await;
    let (manifest, _) = server.push_image("a", "v1", "one").await;
    let response = server.send("DELETE", &format!("/v2/a/blobs/{manifest}")).send().await.unwrap();
    refused(response, 405, Code::Unsupported).await;
}

/// A client that goes away in the middle of a chunk finds what arrived, and
/// goes on from there.
#[tokio::test]
async fn an_upload_survives_its_connection() {
    let server = Server::start().await;
    let location = server.open_upload("a").await;
    let address = server.base.trim_start_matches("http://").to_owned();
    let half = vec![7u8; 600_000];
    let (path, host, sent) = (location.clone(), address.clone(), half.clone());
    let head = move |length: usize| {
        format!("PATCH {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n").into_bytes()
    };
    tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(&head(2_000_000)).unwrap();
        stream.write_all(&sent).unwrap();
        // In order, so that all of it arrives before the end is seen.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
    })
    .await
    .unwrap();
    let status = server.get(&location).await;
    assert_eq!(header(&status, "range"), "0-599999");
    let rest = vec![8u8; 400_000];
    let whole = [half, rest.clone()].concat();
    let path = format!("{location}?digest={}", digest_of(&whole));
    let closed =
        server.send("PUT", &path).header("content-range", "600000-999999").body(rest).send().await.unwrap();
    assert_eq!(closed.status(), StatusCode::CREATED);
    assert!(is_there(&server, "a", &whole).await);
}

#[tokio::test]
async fn many_pushes_of_the_same_blob_at_once() {
    let server = Server::start().await;
    let bytes = vec![9u8; 1_000_000];
    let pushes = (0..16).map(|_| server.push_blob("a", &bytes));
    futures_util::future::join_all(pushes).await;
    assert!(is_there(&server, "a", &bytes).await);
    let left = std::fs::read_dir(server.root.path().join("a/.tmp")).unwrap().count();
    assert_eq!(left, 0, "no temporary file is left");
}
