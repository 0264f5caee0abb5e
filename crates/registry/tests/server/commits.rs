//! TAG-1..3: tags that are commits never move, and what they reach stays.

use plimsoll_oci::{Descriptor, Index, digest_of, media_type};
use plimsoll_registry::error::Code;
use plimsoll_registry::server::Options;
use reqwest::StatusCode;

use crate::{SHA, Server, header, refused};

#[tokio::test]
async fn tag_3_a_commit_tag_does_not_move() {
    let server = Server::start().await;
    for tag in [SHA, &SHA[..12]] {
        let (first, bytes) = server.push_image("acme/a", tag, "one").await;
        let again = server.put_manifest("acme/a", tag, media_type::OCI_MANIFEST, &bytes).await;
        assert_eq!(again.status(), StatusCode::CREATED, "the same digest is fine");
        let other = server.push_blobs_of("acme/a", "two").await.to_bytes();
        let second = digest_of(&other);
        for reference in [tag.to_owned(), format!("{second}?tag=free&tag={tag}")] {
            let response = server.put_manifest("acme/a", &reference, media_type::OCI_MANIFEST, &other).await;
            let text = refused(response, 409, Code::Denied).await;
            assert!(text.contains(&first.to_string()) && text.contains(&second.to_string()), "{text}");
        }
        let found = server.get(&format!("/v2/acme/a/manifests/{tag}")).await;
        assert_eq!(header(&found, "docker-content-digest"), first.to_string());
        for absent in ["free", &second.to_string()] {
            let response = server.get(&format!("/v2/acme/a/manifests/{absent}")).await;
            refused(response, 404, Code::ManifestUnknown).await;
        }
    }
    // The same tag in another repository is another tag.
    server.push_image("acme/b", SHA, "two").await;
}

#[tokio::test]
async fn tag_3_of_pushes_at_once_one_wins() {
    let server = Server::start().await;
    for round in 0..8 {
        let repository = format!("race/r{round}");
        let mut manifests = Vec::new();
        for n in 0..6 {
            manifests.push(server.push_blobs_of(&repository, &format!("content {n}")).await.to_bytes());
        }
        let pushes = manifests
            .iter()
            .map(|bytes| server.put_manifest(&repository, SHA, media_type::OCI_MANIFEST, bytes));
        let answers = futures_util::future::join_all(pushes).await;
        let won: Vec<_> = answers.iter().map(|answer| answer.status() == StatusCode::CREATED).collect();
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
        let winner = won.iter().position(|won| *won).unwrap();
        let found = server.get(&format!("/v2/{repository}/manifests/{SHA}")).await.bytes().await.unwrap();
        assert_eq!(found, manifests[winner]);
        for (at, answer) in answers.into_iter().enumerate().filter(|(at, _)| *at != winner) {
            refused(answer, 409, Code::Denied).await;
            let digest = digest_of(&manifests[at]);
            let left = server.get(&format!("/v2/{repository}/manifests/{digest}")).await;
            refused(left, 404, Code::ManifestUnknown).await;
        }
    }
}

#[tokio::test]
async fn what_a_commit_reaches_is_not_deleted() {
    let server = Server::start().await;
    let (child, bytes) = server.push_image("a", "v1", "one").await;
    let (free, _) = server.push_image("a", "v2", "two").await;
    let index = Index::oci(vec![Descriptor::of(media_type::OCI_MANIFEST, &bytes)]).to_bytes();
    assert_eq!(
        server.put_manifest("a", SHA, media_type::OCI_INDEX, &index).await.status(),
        StatusCode::CREATED
    );
    let layer = digest_of(b"one");
    let held = [
        format!("manifests/{SHA}"),
        format!("manifests/{}", digest_of(&index)),
        format!("manifests/{child}"),
        format!("blobs/{layer}"),
    ];
    for path in &held {
        let response = server.send("DELETE", &format!("/v2/a/{path}")).send().await.unwrap();
        assert!(refused(response, 409, Code::Denied).await.contains(SHA), "{path}");
        assert_eq!(server.get(&format!("/v2/a/{path}")).await.status(), StatusCode::OK);
    }
    for path in
        ["manifests/v1".to_owned(), format!("manifests/{free}"), format!("blobs/{}", digest_of(b"two"))]
    {
        let response = server.send("DELETE", &format!("/v2/a/{path}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{path}");
    }
    let root = server.stop().await;
    let server = Server::at(root, Options { delete_commits: true, ..Options::default() }).await;
    for path in &held {
        let response = server.send("DELETE", &format!("/v2/a/{path}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{path}");
    }
}

/// Another tool that writes to the folder is found out, not overwritten.
#[tokio::test]
async fn tag_3_holds_against_tools_that_write_to_the_folder() {
    let server = Server::start().await;
    server.push_image("a", "v1", "one").await;
    let theirs = server.push_blobs_of("a", "theirs").await.to_bytes();
    let layout = plimsoll_oci::Layout::open(server.root.path().join("a")).unwrap();
    layout.put(&theirs).unwrap();
    layout.tag(SHA, Descriptor::of(media_type::OCI_MANIFEST, &theirs)).unwrap();
    let ours = server.push_blobs_of("a", "ours").await.to_bytes();
    let response = server.put_manifest("a", SHA, media_type::OCI_MANIFEST, &ours).await;
    refused(response, 409, Code::Denied).await;
    let found = server.get(&format!("/v2/a/manifests/{SHA}")).await.bytes().await.unwrap();
    assert_eq!(found, theirs);
}
