//! Tags, repositories, referrers; in pages.

use plimsoll_oci::{Descriptor, Index, Manifest, digest_of, media_type};
use plimsoll_registry::error::Code;
use plimsoll_registry::server::Options;
use reqwest::StatusCode;
use serde_json::Value;

use crate::{Server, header, refused};

async fn json(server: &Server, path: &str) -> Value {
    let response = server.get(path).await;
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn end_8_tags_in_pages() {
    let server = Server::start().await;
    for tag in ["b", "a", "D", "c10", "c9"] {
        server.push_image("acme/a", tag, "one").await;
    }
    let all = json(&server, "/v2/acme/a/tags/list").await;
    assert_eq!(all, serde_json::json!({ "name": "acme/a", "tags": ["D", "a", "b", "c10", "c9"] }));
    let mut path = "/v2/acme/a/tags/list?n=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let response = server.get(&path).await;
        let link = response.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        let page: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        seen.push(page["tags"].as_array().unwrap().len());
        let Some(link) = link else { break };
        path =
            link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap().to_owned();
    }
    assert_eq!(seen, [2, 2, 1]);
    let response = server.get("/v2/acme/a/tags/list?n=0").await;
    assert!(response.headers().get("link").is_none());
    assert_eq!(json(&server, "/v2/acme/a/tags/list?n=0").await["tags"], serde_json::json!([]));
    assert_eq!(json(&server, "/v2/acme/a/tags/list?last=b").await["tags"], serde_json::json!(["c10", "c9"]));
    for bad in ["n=-1", "n=x", "n="] {
        refused(server.get(&format!("/v2/acme/a/tags/list?{bad}")).await, 400, Code::Unsupported).await;
    }
    server.push_blob("acme/empty", b"x").await;
    assert_eq!(json(&server, "/v2/acme/empty/tags/list").await["tags"], serde_json::json!([]));
}

#[tokio::test]
async fn the_catalog_names_nested_repositories() {
    let server = Server::start().await;
    assert_eq!(json(&server, "/v2/_catalog").await, serde_json::json!({ "repositories": [] }));
    for name in ["b", "a/b/c", "a"] {
        server.push_blob(name, b"x").await;
    }
    std::os::unix::fs::symlink("/", server.root.path().join("link")).unwrap();
    assert_eq!(
        json(&server, "/v2/_catalog").await,
        serde_json::json!({ "repositories": ["a", "a/b/c", "b"] })
    );
    let response = server.get("/v2/_catalog?n=2").await;
    assert_eq!(header(&response, "link"), "</v2/_catalog?n=2&last=a/b/c>; rel=\"next\"");
    assert_eq!(json(&server, "/v2/_catalog?n=2&last=a/b/c").await["repositories"], serde_json::json!(["b"]));
}

#[tokio::test]
async fn end_12_referrers() {
    let server = Server::start().await;
    let (subject, subject_bytes) = server.push_image("acme/a", "v1", "one").await;
    let path = format!("/v2/acme/a/referrers/{subject}");
    let empty = json(&server, &path).await;
    assert_eq!(empty["manifests"], serde_json::json!([]));
    assert_eq!(
        json(&server, &format!("/v2/unknown/referrers/{subject}")).await["manifests"],
        serde_json::json!([])
    );

    let blob = server.push_blob("acme/a", b"{}").await;
    let artifact = |kind: Option<&str>, note: &str| {
        let mut manifest = Manifest::oci(Descriptor::new("application/vnd.test.config", blob, 2), Vec::new());
        manifest.artifact_type = kind.map(Into::into);
        manifest.subject = Some(Descriptor::of(media_type::OCI_MANIFEST, &subject_bytes));
        manifest.annotations.insert("note".into(), note.into());
        manifest.to_bytes()
    };
    let mut index = Index::oci(Vec::new());
    index.subject = Some(Descriptor::of(media_type::OCI_MANIFEST, &subject_bytes));
    for (bytes, kind) in [
        (artifact(Some("application/vnd.test.sbom+json"), "a"), media_type::OCI_MANIFEST),
        (artifact(Some("application/vnd.test.sbom+json"), "b"), media_type::OCI_MANIFEST),
        (artifact(None, "c"), media_type::OCI_MANIFEST),
        (index.to_bytes(), media_type::OCI_INDEX),
    ] {
        let response = server.put_manifest("acme/a", &digest_of(&bytes).to_string(), kind, &bytes).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(header(&response, "oci-subject"), subject.to_string());
    }
    let response = server.get(&path).await;
    assert_eq!(header(&response, "content-type"), media_type::OCI_INDEX);
    assert!(response.headers().get("oci-filters-applied").is_none());
    let found = json(&server, &path).await;
    let found = found["manifests"].as_array().unwrap();
    assert_eq!(found.len(), 4);
    for entry in found {
        let config_is_the_type = entry["annotations"]["note"] == "c";
        match entry["mediaType"].as_str().unwrap() {
            media_type::OCI_INDEX => assert!(entry.get("artifactType").is_none()),
            _ if config_is_the_type => assert_eq!(entry["artifactType"], "application/vnd.test.config"),
            _ => assert_eq!(entry["artifactType"], "application/vnd.test.sbom+json"),
        }
    }
    let filtered = format!("{path}?artifactType=application%2Fvnd.test.sbom%2Bjson");
    let response = server.get(&filtered).await;
    assert_eq!(header(&response, "oci-filters-applied"), "artifactType");
    let filtered = json(&server, &filtered).await;
    assert_eq!(filtered["manifests"].as_array().unwrap().len(), 2);

    // What is deleted is listed no more.
    let first = found[0]["digest"].as_str().unwrap();
    server.send("DELETE", &format!("/v2/acme/a/manifests/{first}")).send().await.unwrap();
    assert_eq!(json(&server, &path).await["manifests"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_subject_may_come_later_and_long_lists_come_in_pages() {
    let server = Server::start().await;
    let (_, bytes) = server.push_image("other", "v1", "one").await;
    let subject = Descriptor::of(media_type::OCI_MANIFEST, &bytes);
    let blob = server.push_blob("a", b"{}").await;
    for n in 0..3 {
        let mut manifest = Manifest::oci(Descriptor::new("application/vnd.test.config", blob, 2), Vec::new());
        manifest.subject = Some(subject.clone());
        manifest.annotations.insert(format!("large {n}"), "x".repeat(2 << 20));
        let response =
            server.put_manifest("a", &format!("t{n}"), media_type::OCI_MANIFEST, &manifest.to_bytes()).await;
        assert_eq!(response.status(), StatusCode::CREATED);
    }
    let mut path = format!("/v2/a/referrers/{}?artifactType=application%2Fvnd.test.config", subject.digest);
    let mut pages = 0;
    loop {
        let response = server.get(&path).await;
        let link = response.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        let page: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(page["manifests"].as_array().unwrap().len(), 1);
        pages += 1;
        let Some(link) = link else { break };
        path =
            link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap().to_owned();
    }
    assert_eq!(pages, 3);
}

/// As `distribution` 2: no list, no word that there is one; the tag is a tag.
#[tokio::test]
async fn end_12_can_be_switched_off() {
    let server = Server::with(Options { referrers_api: false, ..Options::default() }).await;
    let (subject, subject_bytes) = server.push_image("acme/a", "v1", "one").await;
    let blob = server.push_blob("acme/a", b"{}").await;
    let mut manifest = Manifest::oci(Descriptor::new("application/vnd.test.config", blob, 2), Vec::new());
    manifest.subject = Some(Descriptor::of(media_type::OCI_MANIFEST, &subject_bytes));
    let bytes = manifest.to_bytes();
    let digest = digest_of(&bytes).to_string();
    let response = server.put_manifest("acme/a", &digest, media_type::OCI_MANIFEST, &bytes).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert!(response.headers().get("oci-subject").is_none());
    let response = server.get(&format!("/v2/acme/a/referrers/{subject}")).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(header(&response, "docker-distribution-api-version"), "registry/2.0");
    assert_eq!(response.text().await.unwrap(), "404 page not found\n");
    let tag = subject.to_string().replace(':', "-");
    let index = Index::oci(vec![Descriptor::of(media_type::OCI_MANIFEST, &bytes)]).to_bytes();
    let response = server.put_manifest("acme/a", &tag, media_type::OCI_INDEX, &index).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(json(&server, "/v2/acme/a/tags/list").await["tags"], serde_json::json!([tag, "v1"]));
}
