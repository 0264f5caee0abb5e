//! Pushing and deleting manifests.

use plimsoll_oci::{Descriptor, Index, Manifest, digest_of, media_type};
use plimsoll_registry::error::Code;
use reqwest::StatusCode;

use crate::{Server, header, refused};

#[tokio::test]
async fn end_7_by_tag_by_digest_and_with_tags() {
    let server = Server::start().await;
    let manifest = server.push_blobs_of("acme/a", "one").await.to_bytes();
    let digest = digest_of(&manifest);
    let put = |reference: String| {
        let (server, manifest) = (&server, &manifest);
        async move { server.put_manifest("acme/a", &reference, media_type::OCI_MANIFEST, manifest).await }
    };
    let response = put("v1".into()).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(header(&response, "location"), "/v2/acme/a/manifests/v1");
    assert_eq!(header(&response, "docker-content-digest"), digest.to_string());
    let response = put(digest.to_string()).await;
    assert_eq!(header(&response, "location"), format!("/v2/acme/a/manifests/{digest}"));
    assert!(response.headers().get("oci-subject").is_none());
    let response = put(format!("{digest}?tag=v2&tag=latest")).await;
    assert_eq!((response.status(), header(&response, "oci-tag")), (StatusCode::CREATED, "v2, latest".into()));
    for tag in ["v1", "v2", "latest"] {
        assert_eq!(server.get(&format!("/v2/acme/a/manifests/{tag}")).await.bytes().await.unwrap(), manifest);
    }
    refused(put(format!("{digest}?tag=.bad")).await, 400, Code::ManifestInvalid).await;
    let many: String = (0..33).map(|n| format!("&tag=t{n}")).collect();
    refused(put(format!("{digest}?{many}")).await, 414, Code::Unsupported).await;
    let other = digest_of(b"other");
    refused(put(other.to_string()).await, 400, Code::DigestInvalid).await;
    refused(put("sha256:short".into()).await, 400, Code::DigestInvalid).await;
}

#[tokio::test]
async fn a_moved_tag_leaves_the_old_manifest_there_by_digest() {
    let server = Server::start().await;
    let (old, _) = server.push_image("a", "latest", "one").await;
    let (new, _) = server.push_image("a", "latest", "two").await;
    let response = server.get("/v2/a/manifests/latest").await;
    assert_eq!(header(&response, "docker-content-digest"), new.to_string());
    assert_eq!(server.get(&format!("/v2/a/manifests/{old}")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn manifests_that_are_refused() {
    let server = Server::start().await;
    let good = server.push_blobs_of("a", "one").await;
    let oci = media_type::OCI_MANIFEST;
    let bytes = good.to_bytes();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let mut absent_layer = good.clone();
    absent_layer.layers[0].digest = digest_of(b"absent");
    let mut absent_config = good.clone();
    absent_config.config.digest = digest_of(b"absent");
    let mut wrong_size = good.clone();
    wrong_size.layers[0].size += 1;
    let untyped = text.replace(&format!("\"mediaType\":\"{oci}\","), "");
    let index = Index::oci(vec![Descriptor::of(oci, &bytes)]).to_bytes();
    let both = text.replace("\"layers\"", "\"manifests\":[],\"layers\"");
    let sha512 = text.replace(&good.layers[0].digest.to_string(), &format!("sha512:{}", "0".repeat(128)));
    for (what, media_type, bytes, status, code) in [
        ("a layer is absent", oci, absent_layer.to_bytes(), 404, Code::ManifestBlobUnknown),
        ("the configuration is absent", oci, absent_config.to_bytes(), 404, Code::ManifestBlobUnknown),
        ("a manifest is absent", media_type::OCI_INDEX, index, 404, Code::ManifestBlobUnknown),
        ("a size is wrong", oci, wrong_size.to_bytes(), 400, Code::SizeInvalid),
        ("no JSON", oci, b"<html>".to_vec(), 400, Code::ManifestInvalid),
        ("empty", oci, Vec::new(), 400, Code::ManifestInvalid),
        ("no manifest", oci, b"{}".to_vec(), 400, Code::ManifestInvalid),
        ("another type", media_type::OCI_INDEX, bytes.clone(), 400, Code::ManifestInvalid),
        ("an index for an image", media_type::OCI_INDEX, untyped.clone().into(), 400, Code::ManifestInvalid),
        ("no type of a manifest", "text/plain", untyped.into(), 400, Code::ManifestInvalid),
        ("image and index", oci, both.into(), 400, Code::ManifestInvalid),
        ("another algorithm", oci, sha512.into(), 400, Code::ManifestInvalid),
        (
            "schema 1",
            media_type::DOCKER_MANIFEST_SCHEMA1,
            b"{\"schemaVersion\":1}".to_vec(),
            400,
            Code::ManifestInvalid,
        ),
        ("deep", oci, "[".repeat(1_000_000).into_bytes(), 400, Code::ManifestInvalid),
        ("too long", oci, vec![b' '; (4 << 20) + 1], 413, Code::SizeInvalid),
    ] {
        let response = server.put_manifest("a", "v1", media_type, &bytes).await;
        assert_eq!(response.status(), status, "{what}");
        refused(response, status, code).await;
    }
    refused(server.get("/v2/a/manifests/v1").await, 404, Code::ManifestUnknown).await;
    // Parameters of the type do not count, and 4 MiB are accepted.
    let mut large = good;
    large.annotations.insert("large".into(), "x".repeat((4 << 20) - bytes.len() - 30));
    let response = server.put_manifest("a", "v1", &format!("{oci}; charset=utf-8"), &large.to_bytes()).await;
    assert_eq!(response.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn layers_that_must_not_be_pushed_need_not_be_there() {
    let server = Server::start().await;
    let config = server.push_blob("a", b"{}").await;
    let foreign = Descriptor::new(media_type::OCI_LAYER_NONDIST_TAR_GZIP, digest_of(b"elsewhere"), 9);
    let manifest =
        Manifest::oci(Descriptor::new(media_type::OCI_CONFIG, config, 2), vec![foreign]).to_bytes();
    let response = server.put_manifest("a", "v1", media_type::OCI_MANIFEST, &manifest).await;
    assert_eq!(response.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn conditions_protect_a_tag() {
    let server = Server::start().await;
    let (one, _) = server.push_image("a", "latest", "one").await;
    let two = server.push_blobs_of("a", "two").await.to_bytes();
    let put = |name: &'static str, value: String| {
        let request =
            server.send("PUT", "/v2/a/manifests/latest").header("content-type", media_type::OCI_MANIFEST);
        request.header(name, value).body(two.clone()).send()
    };
    let other = digest_of(b"other");
    for (name, value, status) in [
        ("if-none-match", "*".to_owned(), 412),
        ("if-none-match", format!("\"{one}\""), 412),
        ("if-match", format!("\"{other}\""), 412),
        ("if-match", format!("\"{one}\""), 201),
    ] {
        let response = put(name, value.clone()).await.unwrap();
        assert_eq!(response.status(), status, "{name}: {value}");
    }
    let response = server.send("PUT", "/v2/a/manifests/new").header("if-match", "*").body(two.clone()).send();
    assert_eq!(response.await.unwrap().status(), StatusCode::PRECONDITION_FAILED);
    let response =
        server.send("PUT", "/v2/a/manifests/new").header("if-none-match", "*").body(two.clone()).send();
    assert_eq!(response.await.unwrap().status(), StatusCode::CREATED);
}

#[tokio::test]
async fn end_9_deleting_tags_and_manifests() {
    let server = Server::start().await;
    let (digest, bytes) = server.push_image("a", "v1", "one").await;
    server.push_image("a", "v2", "one").await;
    let delete = |reference: String| server.send("DELETE", &format!("/v2/a/manifests/{reference}")).send();
    let exists = |reference: String| {
        let server = &server;
        async move { server.get(&format!("/v2/a/manifests/{reference}")).await.status() == StatusCode::OK }
    };
    assert_eq!(delete("v1".into()).await.unwrap().status(), StatusCode::ACCEPTED);
    assert!(!exists("v1".into()).await && exists("v2".into()).await && exists(digest.to_string()).await);
    refused(delete("v1".into()).await.unwrap(), 404, Code::ManifestUnknown).await;
    assert_eq!(delete(digest.to_string()).await.unwrap().status(), StatusCode::ACCEPTED);
    assert!(!exists("v2".into()).await && !exists(digest.to_string()).await);
    refused(delete(digest.to_string()).await.unwrap(), 404, Code::ManifestUnknown).await;
    // Its blobs are there, and it can come back.
    assert_eq!(
        server.put_manifest("a", "v1", media_type::OCI_MANIFEST, &bytes).await.status(),
        StatusCode::CREATED
    );
    assert!(exists("v1".into()).await);
}

#[tokio::test]
async fn a_manifest_that_an_index_needs_keeps_its_bytes() {
    let server = Server::start().await;
    let (child, bytes) = server.push_image("a", "v1", "one").await;
    let index = Index::oci(vec![Descriptor::of(media_type::OCI_MANIFEST, &bytes)]).to_bytes();
    let response = server.put_manifest("a", "all", media_type::OCI_INDEX, &index).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    server.send("DELETE", &format!("/v2/a/manifests/{child}")).send().await.unwrap();
    assert_eq!(server.get(&format!("/v2/a/manifests/{child}")).await.status(), StatusCode::NOT_FOUND);
    assert!(server.root.path().join("a/blobs/sha256").join(child.hex()).exists());
    assert_eq!(server.get("/v2/a/manifests/all").await.status(), StatusCode::OK);
}
