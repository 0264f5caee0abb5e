//! Blobs on their way down: bounded, verified, resumed, and nothing left over.

use bytes::Bytes;
use plimsoll_model::{Class, Diagnose as _};
use plimsoll_oci::{Descriptor, Index, Layout};
use plimsoll_registry::client::{Error, Options, Reader};

use super::fake::{Fake, MANIFEST, Reply, Seen, html};
use super::image::{empty_layout, image, noise, options, sha, small};

const LENGTH: usize = 2 << 20;

async fn fetch(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> (Fake, Result<u64, Error>, bool) {
    let fake = Fake::start(script).await;
    let bytes = noise(LENGTH, 7);
    let blob = Descriptor::of("x", &bytes);
    fake.state(|state| state.blobs.insert(blob.digest.to_string(), bytes.into()));
    let (_folder, layout) = empty_layout();
    let result = Reader::new(fake.repository(), options()).unwrap().fetch_blob(&blob, &layout).await;
    let there = layout.has(&blob.digest).unwrap();
    assert_eq!(there, result.is_ok(), "{result:?}");
    assert_eq!(std::fs::read_dir(layout.path().join(".tmp")).unwrap().count(), 0, "something was left over");
    (fake, result, there)
}

fn body(from: usize, to: usize) -> Bytes {
    Bytes::from(noise(LENGTH, 7)).slice(from..to)
}

#[tokio::test]
async fn dig_3_a_blob_is_fetched_and_verified() {
    let (fake, result, _) = fetch(|_| Reply::Honest).await;
    assert_eq!(result.unwrap(), LENGTH as u64);
    assert_eq!(fake.log().len(), 1);
}

#[tokio::test]
async fn a_break_is_resumed_where_it_was() {
    let (fake, result, _) = fetch(|seen| match seen.nth {
        0 => Reply::Broken(vec![], LENGTH as u64, body(0, 1_000_000)),
        _ => Reply::Honest,
    })
    .await;
    result.unwrap();
    let ranges: Vec<String> = fake.log().iter().map(|seen| seen.header("range").to_owned()).collect();
    assert_eq!(ranges, ["".to_owned(), format!("bytes=1000000-{}", LENGTH - 1)]);
}

#[tokio::test]
async fn many_breaks_are_survived_while_each_try_brings_something() {
    let (fake, result, _) = fetch(|seen| {
        let from: usize =
            seen.header("range").trim_start_matches("bytes=").split('-').next().unwrap().parse().unwrap_or(0);
        let length = (LENGTH - from) as u64;
        match seen.nth {
            0 => Reply::Broken(vec![], length, body(0, 300_000)),
            1..6 => {
                let range = ("content-range", format!("bytes {from}-{}/{LENGTH}", LENGTH - 1));
                Reply::BrokenPart(vec![range], length, body(from, from + 300_000))
            }
            _ => Reply::Honest,
        }
    })
    .await;
    result.unwrap();
    assert_eq!(fake.log().len(), 7);
}

#[tokio::test]
async fn a_registry_without_ranges_sends_all_of_it_again() {
    let (_, result, _) = fetch(|seen| match seen.nth {
        0 => Reply::Broken(vec![], LENGTH as u64, body(0, 1_000_000)),
        _ => Reply::Say(200, vec![], body(0, LENGTH)),
    })
    .await;
    result.unwrap();
}

#[tokio::test]
async fn a_stall_is_given_up_and_resumed() {
    let (fake, result, _) = fetch(|seen| match seen.nth {
        0 => Reply::Stall(LENGTH as u64, body(0, 500_000)),
        _ => Reply::Honest,
    })
    .await;
    result.unwrap();
    assert_eq!(fake.log()[1].header("range"), format!("bytes=500000-{}", LENGTH - 1));
}

#[tokio::test]
async fn dig_3_other_bytes_are_an_integrity_violation() {
    for wrong in [noise(LENGTH, 8), noise(LENGTH - 1, 7), noise(LENGTH + 1, 7), Vec::new()] {
        let wrong = Bytes::from(wrong);
        let (fake, result, _) = fetch(move |_| Reply::Say(200, vec![], wrong.clone())).await;
        let error = result.unwrap_err();
        assert_eq!((error.class(), error.code()), (Class::Integrity, "DIG-003"), "{error:?}");
        assert_eq!(fake.log().len(), 1);
    }
    // The resumed half is of something else.
    let (_, result, _) = fetch(|seen| match seen.nth {
        0 => Reply::Broken(vec![], LENGTH as u64, body(0, 1_000_000)),
        _ => Reply::Say(200, vec![], Bytes::from(noise(LENGTH, 8))),
    })
    .await;
    assert_eq!(result.unwrap_err().class(), Class::Integrity);
}

#[tokio::test]
async fn a_body_that_always_breaks_is_given_up() {
    let (fake, result, _) = fetch(|_| Reply::Broken(vec![], LENGTH as u64, Bytes::new())).await;
    let error = result.unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Outside, "REG-001"), "{error:?}");
    assert_eq!(fake.log().len(), 3);
}

#[tokio::test]
async fn other_answers() {
    let (_, result, _) = fetch(|_| super::fake::error(plimsoll_registry::error::Code::BlobUnknown)).await;
    assert!(matches!(result, Err(Error::Absent { .. })), "{result:?}");
    let (_, result, _) = fetch(|_| html(404)).await;
    assert!(matches!(result, Err(Error::Nonsense { .. })), "{result:?}");
}

#[tokio::test]
async fn redirects_are_followed_within_bounds() {
    let storage = Fake::start(|_| Reply::Say(200, vec![], body(0, LENGTH))).await;
    let to = format!("http://{}/bucket/object?signature=s3cret", storage.host());
    let (_, result, _) = fetch(move |_| Reply::Say(307, vec![("location", to.clone())], Bytes::new())).await;
    result.unwrap();
    assert_eq!(storage.log()[0].header("authorization"), "");

    let (fake, result, _) =
        fetch(|seen| Reply::Say(307, vec![("location", seen.path.clone())], Bytes::new())).await;
    assert_eq!(result.unwrap_err().code(), "REG-006");
    assert!(fake.log().len() <= 6);
    for to in ["http://example.com/x", "ftp://127.0.0.1/x", "http://a:b@127.0.0.1/x", ":::"] {
        let (_, result, _) =
            fetch(move |_| Reply::Say(307, vec![("location", to.into())], Bytes::new())).await;
        assert_eq!(result.unwrap_err().code(), "REG-006", "{to}");
    }
}

fn serve(fake: &Fake, image: &super::image::Image) {
    fake.state(|state| {
        state.tag(sha().as_str(), MANIFEST, image.bytes());
        for blob in image.manifest.blobs() {
            let bytes = image.layout.read_blob(&blob.digest, 1 << 24).unwrap();
            state.blobs.insert(blob.digest.to_string(), bytes.into());
        }
    });
}

#[tokio::test]
async fn an_image_is_pulled_once_and_in_bounded_parallel() {
    let fake = Fake::honest().await;
    let layers: Vec<Vec<u8>> = (0..20).map(|n| noise(10_000, n)).collect();
    let image = image(&layers);
    serve(&fake, &image);
    let (_folder, layout) = empty_layout();
    let reader = Reader::new(fake.repository(), Options { parallelism: 3, ..options() }).unwrap();
    assert_eq!(reader.pull(&image.descriptor.digest, &layout).await.unwrap(), image.descriptor);
    assert_eq!(fake.log().len(), 22);
    assert!(fake.most_in_flight() <= 3);
    reader.pull(&image.descriptor.digest, &layout).await.unwrap();
    assert_eq!(fake.log().len(), 22, "what is there is not fetched again");
    layout.delete_blob(&image.blob(3).digest).unwrap();
    reader.pull(&image.descriptor.digest, &layout).await.unwrap();
    assert_eq!(fake.log().len(), 23);
}

#[tokio::test]
async fn a_pull_that_fails_leaves_no_manifest() {
    let image = small();
    let missing = image.blob(2).digest.to_string();
    let fake = Fake::honest().await;
    serve(&fake, &image);
    fake.state(|state| state.blobs.remove(&missing));
    let (_folder, layout) = empty_layout();
    let reader = Reader::new(fake.repository(), options()).unwrap();
    let error = reader.pull(&image.descriptor.digest, &layout).await.unwrap_err();
    assert!(matches!(error, Error::Absent { .. }), "{error:?}");
    assert!(!layout.has(&image.descriptor.digest).unwrap());
}

#[tokio::test]
async fn bld_4_an_index_is_not_pulled() {
    let fake = Fake::honest().await;
    let bytes = Index::oci(vec![small().descriptor]).to_bytes();
    let digest = plimsoll_oci::digest_of(&bytes);
    fake.state(|state| state.tag("x", plimsoll_oci::media_type::OCI_INDEX, bytes));
    let (_folder, layout): (_, Layout) = empty_layout();
    let error = Reader::new(fake.repository(), options()).unwrap().pull(&digest, &layout).await.unwrap_err();
    assert!(matches!(error, Error::NotAnImage { .. }), "{error:?}");
}
