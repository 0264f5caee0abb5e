//! Client and embedded registry, together.

use plimsoll_model::{Lookup, PinnedRef, Repository, Secret};
use plimsoll_oci::ImageSource as _;
use plimsoll_registry::client::{Credential, Error, Options, Publisher, Reader, Sources, Upload};
use plimsoll_registry::server;
use tokio::net::TcpListener;

use super::image::{empty_layout, image, noise, options, sha, small};

/// Starts the embedded registry; the host it listens at.
async fn start(root: &std::path::Path, options: server::Options) -> String {
    let registry = server::Registry::open(root, options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { registry.serve(listener, std::future::pending()).await });
    host
}

fn repository(host: &str, path: &str) -> Repository {
    format!("{host}/{path}").parse().unwrap()
}

#[tokio::test]
async fn tag_1_tag_2_dig_1_an_image_goes_up_and_comes_down() {
    let root = tempfile::tempdir().unwrap();
    let host = start(root.path(), server::Options::default()).await;
    let source = image(&[noise(3 << 20, 1), noise(100, 2), Vec::new()]);
    let chunks = (repository(&host, "acme/chunks"), Upload { monolithic_up_to: 0, chunk: 1 << 20 });
    let whole = (repository(&host, "acme/whole"), Upload::default());
    for (repository, upload) in [whole, chunks] {
        let publisher = Publisher::new(repository, Options { upload, ..options() }).unwrap();
        let first = publisher.push(&source.layout, &source.descriptor, &sha()).await.unwrap();
        assert_eq!(first.post_push_digest, source.descriptor.digest);
        assert_eq!(first.uploaded.len(), 4);
        let again = publisher.push(&source.layout, &source.descriptor, &sha()).await.unwrap();
        assert!(again.already_present && again.uploaded.is_empty());
    }
    let repository = repository(&host, "acme/chunks");
    let reader = Reader::new(repository.clone(), options()).unwrap();
    for tag in [sha().as_str(), sha().short()] {
        let found = reader.resolve_tag(tag).await;
        assert_eq!(found.found().unwrap().digest(), source.descriptor.digest);
    }
    assert_eq!(reader.resolve_tag("none").await, Lookup::Absent);
    assert_eq!(reader.referrers(&source.descriptor.digest).await, Lookup::Found(vec![]));
    assert_eq!(reader.tags().await.found().unwrap().len(), 2);

    let (_folder, here) = empty_layout();
    let pinned = PinnedRef::new(repository, sha(), source.descriptor.digest);
    assert_eq!(reader.fetch(&pinned, &here).await.unwrap(), source.descriptor);
    for blob in source.manifest.blobs() {
        assert!(here.has(&blob.digest).unwrap());
    }
}

#[tokio::test]
async fn blobs_are_mounted_from_another_repository() {
    let root = tempfile::tempdir().unwrap();
    let host = start(root.path(), server::Options::default()).await;
    let source = small();
    let staging = Publisher::new(repository(&host, "acme/payouts-staging"), options()).unwrap();
    staging.push(&source.layout, &source.descriptor, &sha()).await.unwrap();
    let options =
        Options { mount_from: vec!["acme/none".into(), "acme/payouts-staging".into()], ..options() };
    let canonical = Publisher::new(repository(&host, "acme/payouts"), options).unwrap();
    let pushed = canonical.push(&source.layout, &source.descriptor, &sha()).await.unwrap();
    assert_eq!((pushed.mounted.len(), pushed.uploaded_bytes), (3, 0));
}

#[tokio::test]
async fn tag_3_another_image_of_the_same_commit_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let host = start(root.path(), server::Options::default()).await;
    let publisher = Publisher::new(repository(&host, "acme/payouts"), options()).unwrap();
    let (first, second) = (small(), image(&[b"other".to_vec()]));
    publisher.push(&first.layout, &first.descriptor, &sha()).await.unwrap();
    let error = publisher.push(&second.layout, &second.descriptor, &sha()).await.unwrap_err();
    assert!(matches!(error, Error::TagTaken { found, .. } if found == first.descriptor.digest), "{error:?}");
    assert_eq!(publisher.reader().has_any(&second).await, Lookup::Absent);
}

/// Whether the first blob of an image is there.
trait HasAny {
    async fn has_any(&self, image: &super::image::Image) -> Lookup<()>;
}

impl HasAny for Reader {
    async fn has_any(&self, image: &super::image::Image) -> Lookup<()> {
        self.head_blob(image.manifest.layers.first().unwrap()).await
    }
}

#[tokio::test]
async fn with_a_password() {
    let root = tempfile::tempdir().unwrap();
    let credentials = server::Credentials { username: "ci".into(), password: Secret::new("pw") };
    let host =
        start(root.path(), server::Options { credentials: Some(credentials), ..Default::default() }).await;
    let repository = repository(&host, "acme/payouts");
    let with = |password: &str| Options {
        credentials: Sources::default()
            .given(&host, Credential::Password { username: "ci".into(), password: Secret::new(password) }),
        ..options()
    };
    let source = small();
    let publisher = Publisher::new(repository.clone(), with("pw")).unwrap();
    publisher.push(&source.layout, &source.descriptor, &sha()).await.unwrap();
    let wrong = Publisher::new(repository.clone(), with("no")).unwrap();
    let error = wrong.push(&source.layout, &source.descriptor, &sha()).await.unwrap_err();
    assert!(matches!(error, Error::Denied { with_credentials: true, .. }), "{error:?}");
    let nobody = Reader::new(repository, options()).unwrap().resolve_tag(sha().as_str()).await;
    assert!(matches!(&nobody, Lookup::Unknown(why) if why.contains("docker login")), "{nobody:?}");
}
