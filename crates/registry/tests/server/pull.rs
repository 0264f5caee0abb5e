//! Pulling: blobs with ranges, manifests with validators.

use plimsoll_oci::{digest_of, media_type};
use plimsoll_registry::error::Code;
use reqwest::StatusCode;

use crate::{Server, header, refused};

#[tokio::test]
async fn end_2_blobs_whole_and_in_parts() {
    let server = Server::start().await;
    let bytes: Vec<u8> = (0..2_000_000u32).map(|n| (n % 251) as u8).collect();
    let digest = server.push_blob("acme/a", &bytes).await;
    let path = format!("/v2/acme/a/blobs/{digest}");
    for method in ["GET", "HEAD"] {
        let response = server.send(method, &path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "content-length"), "2000000");
        assert_eq!(header(&response, "docker-content-digest"), digest.to_string());
        assert_eq!(header(&response, "etag"), format!("\"{digest}\""));
        assert_eq!(header(&response, "accept-ranges"), "bytes");
        let body = response.bytes().await.unwrap();
        assert_eq!(body.as_ref(), if method == "GET" { &bytes[..] } else { &[] });
    }
    for (range, status, start, end) in [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=500-1499", 206, 500, 1500),
        ("bytes=1999990-", 206, 1_999_990, 2_000_000),
        ("bytes=-500", 206, 1_999_500, 2_000_000),
        ("bytes=1000-9999999", 206, 1000, 2_000_000),
        ("lines=1-2", 200, 0, 2_000_000),
    ] {
        let response = server.send("GET", &path).header("range", range).send().await.unwrap();
        assert_eq!(response.status(), status, "{range}");
        if status == 206 {
            assert_eq!(header(&response, "content-range"), format!("bytes {start}-{}/2000000", end - 1));
        }
        assert_eq!(header(&response, "content-length"), (end - start).to_string());
        assert_eq!(response.bytes().await.unwrap().as_ref(), &bytes[start..end], "{range}");
    }
    for range in ["bytes=2000000-", "bytes=5-0", "bytes=0-1,5-6"] {
        let response = server.send("GET", &path).header("range", range).send().await.unwrap();
        assert_eq!(header(&response, "content-range"), "bytes */2000000");
        refused(response, 416, Code::RangeInvalid).await;
    }
    // A range of another version of it is no range of this one.
    let response = server
        .send("GET", &path)
        .header("range", "bytes=0-0")
        .header("if-range", "\"other\"")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let response =
        server.send("GET", &path).header("if-none-match", format!("\"{digest}\"")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);

    let absent = format!("/v2/acme/a/blobs/{}", digest_of(b"absent"));
    refused(server.get(&absent).await, 404, Code::BlobUnknown).await;
    let response = server.send("HEAD", &absent).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let server = Server::start().await;
    let digest = server.push_blob("a", b"").await;
    let response = server.get(&format!("/v2/a/blobs/{digest}")).await;
    assert_eq!((response.status(), header(&response, "content-length")), (StatusCode::OK, "0".into()));
    assert!(response.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn end_3_manifests_by_tag_and_digest() {
    let server = Server::start().await;
    let (digest, bytes) = server.push_image("acme/a", "v1", "one").await;
    for reference in ["v1".to_owned(), digest.to_string(), digest.to_string().replace(':', "%3A")] {
        let path = format!("/v2/acme/a/manifests/{reference}");
        for method in ["GET", "HEAD"] {
            let response = server.send(method, &path).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(header(&response, "content-type"), media_type::OCI_MANIFEST);
            assert_eq!(header(&response, "content-length"), bytes.len().to_string());
            assert_eq!(header(&response, "docker-content-digest"), digest.to_string());
            let body = response.bytes().await.unwrap();
            assert_eq!(body.as_ref(), if method == "GET" { &bytes[..] } else { &[] });
        }
        let current =
            server.send("GET", &path).header("if-none-match", format!("\"{digest}\"")).send().await.unwrap();
        assert_eq!(current.status(), StatusCode::NOT_MODIFIED);
        for (accept, status) in [
            (media_type::OCI_MANIFEST, 200),
            ("*/*", 200),
            ("application/json", 200),
            (media_type::DOCKER_MANIFEST, 406),
        ] {
            let response = server.send("GET", &path).header("accept", accept).send().await.unwrap();
            assert_eq!(response.status(), status, "{accept}");
        }
    }
    for absent in ["v2".to_owned(), digest_of(b"absent").to_string()] {
        refused(server.get(&format!("/v2/acme/a/manifests/{absent}")).await, 404, Code::ManifestUnknown)
            .await;
    }
    // A blob that was never pushed as a manifest is none.
    let blob = server.push_blob("acme/a", b"{}").await;
    refused(server.get(&format!("/v2/acme/a/manifests/{blob}")).await, 404, Code::ManifestUnknown).await;
}

#[tokio::test]
async fn a_damaged_manifest_is_not_served() {
    let server = Server::start().await;
    let (digest, _) = server.push_image("a", "v1", "one").await;
    let file = server.root.path().join("a/blobs/sha256").join(digest.hex());
    std::fs::write(file, b"{}").unwrap();
    let response = server.get("/v2/a/manifests/v1").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let text = response.text().await.unwrap();
    assert!(text.contains("UNKNOWN") && !text.contains(server.root.path().to_str().unwrap()), "{text}");
}
