//! Pushes: what is published, what is not, and what a failure leaves.

use std::sync::Mutex;

use plimsoll_model::{Class, Diagnose as _, Observer, Progress};
use plimsoll_registry::client::{Error, Options, Publisher, Pushed, Upload};
use plimsoll_registry::error::Code;

use super::fake::{Fake, MANIFEST, Reply, Seen, error, html, say};
use super::image::{Image, image, noise, options, sha, small};

const UPLOADS: &str = "/v2/acme/payouts/blobs/uploads/";

async fn push(fake: &Fake, image: &Image, options: Options) -> Result<Pushed, Error> {
    let publisher = Publisher::new(fake.repository(), options).unwrap();
    publisher.push(&image.layout, &image.descriptor, &sha()).await
}

/// Pushes the small image through a script.
async fn through(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> (Fake, Result<Pushed, Error>) {
    let fake = Fake::start(script).await;
    let result = push(&fake, &small(), options()).await;
    (fake, result)
}

fn tags(fake: &Fake) -> (bool, bool) {
    fake.state(|state| {
        (state.manifests.contains_key(sha().as_str()), state.manifests.contains_key(sha().short()))
    })
}

#[tokio::test]
async fn tag_1_tag_2_both_tags_are_written_the_full_one_last() {
    let (fake, result) = through(|_| Reply::Honest).await;
    let pushed = result.unwrap();
    let digest = small().descriptor.digest;
    assert_eq!((pushed.pre_push_digest, pushed.post_push_digest), (digest, digest));
    assert_eq!((pushed.uploaded.len(), pushed.already_present), (3, false));
    assert_eq!(pushed.uploaded_bytes, 3 + 3 + 37);
    let puts: Vec<String> = fake
        .log()
        .iter()
        .filter(|seen| seen.method == "PUT" && seen.path.contains("/manifests/"))
        .map(|seen| seen.path.rsplit('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(puts, [sha().short(), sha().as_str()]);
}

#[tokio::test]
async fn tag_3_the_same_again_is_two_requests() {
    let (fake, result) = through(|_| Reply::Honest).await;
    result.unwrap();
    let before = fake.log().len();
    let again = push(&fake, &small(), options()).await.unwrap();
    assert!(again.already_present);
    assert_eq!((again.uploaded_bytes, fake.log().len() - before), (0, 2));
}

#[tokio::test]
async fn tag_3_another_digest_at_either_tag_changes_nothing() {
    let other = image(&[b"other".to_vec()]);
    for tag in [sha().as_str(), sha().short()] {
        let fake = Fake::honest().await;
        fake.state(|state| state.tag(tag, MANIFEST, other.bytes()));
        let error = push(&fake, &small(), options()).await.unwrap_err();
        assert_eq!((error.class(), error.code()), (Class::Integrity, "TAG-003"));
        assert_eq!(error.expected().unwrap(), small().descriptor.digest.to_string());
        assert_eq!(error.found().unwrap(), other.descriptor.digest.to_string());
        assert!(error.hint().unwrap().starts_with("nothing was pushed"));
        assert_eq!(fake.writes(), 0);
    }
    let (fake, result) =
        through(|_| Reply::Say(200, vec![("content-type", MANIFEST.into())], "{}".into())).await;
    let error = result.unwrap_err();
    assert_eq!((error.class(), error.code(), fake.writes()), (Class::Integrity, "TAG-003", 0));
}

#[tokio::test]
async fn a_tag_that_cannot_be_read_stops_the_push() {
    for status in [200, 401, 403, 404, 429, 500] {
        for tag in [sha().to_string(), sha().short().to_owned()] {
            let (fake, result) =
                through(
                    move |seen| if seen.is("GET", &format!("/{tag}")) { html(status) } else { Reply::Honest },
                )
                .await;
            let error = result.unwrap_err();
            assert_eq!((error.class(), fake.writes()), (Class::Outside, 0), "{status} {error:?}");
        }
    }
}

/// The connection is cut for good at each write in turn; the same push again
/// must repair what that left. Even points: the write failed; odd ones: it
/// failed but persisted.
#[tokio::test]
async fn a_push_cut_anywhere_is_not_published_and_is_repaired_by_the_same_push() {
    const WRITES: usize = 8;
    for point in 0..2 * WRITES {
        let image = small();
        let writes = Mutex::new(0);
        let fake = Fake::start(move |seen| {
            let mut writes = writes.lock().unwrap();
            if seen.header("user-agent") == "repair" {
                return Reply::Honest;
            }
            if *writes > point / 2 {
                return Reply::CutAfter(0);
            }
            if seen.method != "GET" && seen.method != "HEAD" {
                *writes += 1;
            }
            match (*writes > point / 2, point % 2) {
                (false, _) => Reply::Honest,
                (true, 0) => Reply::CutAfter(0),
                (true, _) => Reply::DoneThenCut,
            }
        })
        .await;
        push(&fake, &image, Options { parallelism: 1, ..options() }).await.unwrap_err();
        let (full, short) = tags(&fake);
        assert_eq!((full, short), (point == 2 * WRITES - 1, point > 2 * WRITES - 4), "{point}");
        let repair = Options { user_agent: "repair".into(), ..options() };
        let pushed = push(&fake, &image, repair).await.unwrap();
        assert_eq!(pushed.post_push_digest, image.descriptor.digest);
        assert_eq!(pushed.already_present, full, "{point}");
        assert_eq!(tags(&fake), (true, true), "{point}");
    }
}

#[tokio::test]
async fn tag_3_a_tag_taken_while_blobs_went_up_is_left_alone() {
    let other = image(&[b"other".to_vec()]);
    let bytes = other.bytes();
    let (fake, result) = through(move |seen| {
        let bytes = bytes.clone();
        match seen.method == "POST" && seen.path == UPLOADS {
            true => Reply::First(Box::new(move |state| state.tag(sha().as_str(), MANIFEST, bytes))),
            false => Reply::Honest,
        }
    })
    .await;
    let error = result.unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Integrity, "TAG-003"));
    assert!(error.hint().unwrap().contains("no tag was written"), "{:?}", error.hint());
    fake.state(|state| assert_eq!(state.manifests[sha().as_str()].1, other.bytes()));
    assert_eq!(fake.count("PUT", "/manifests/"), 0);
}

#[tokio::test]
async fn dig_1_a_tag_moved_around_the_write_is_found_afterwards() {
    let other = image(&[b"other".to_vec()]);
    for (tag, code) in [(sha().to_string(), "DIG-001"), (sha().short().to_owned(), "TAG-005")] {
        let bytes = other.bytes();
        let (_, result) = through(move |seen| {
            let (bytes, tag) = (bytes.clone(), tag.clone());
            // The third reading of a tag is the one after the push.
            match seen.is("GET", &format!("/{tag}")) && seen.nth == 2 {
                true => Reply::First(Box::new(move |state| state.tag(&tag, MANIFEST, bytes))),
                false => Reply::Honest,
            }
        })
        .await;
        let error = result.unwrap_err();
        assert_eq!((error.class(), error.code()), (Class::Integrity, code), "{error:?}");
        assert_eq!(error.found().unwrap(), other.descriptor.digest.to_string());
    }
}

#[tokio::test]
async fn a_registry_that_guards_its_tags_refuses_and_the_other_digest_is_told() {
    let other = image(&[b"other".to_vec()]);
    let bytes = other.bytes();
    let fake = Fake::start(move |seen| {
        let full = format!("/{}", sha());
        match seen.is("PUT", &full) {
            true => error(Code::Denied),
            false if seen.is("GET", &full) && seen.nth == 2 => {
                let bytes = bytes.clone();
                Reply::First(Box::new(move |state| state.tag(sha().as_str(), MANIFEST, bytes)))
            }
            false => Reply::Honest,
        }
    })
    .await;
    let error = push(&fake, &small(), options()).await.unwrap_err();
    assert!(
        matches!(&error, Error::TagTaken { found, .. } if *found == other.descriptor.digest),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_found_to_have_happened() {
    let (fake, result) = through(|seen| match seen.is("PUT", &format!("/{}", sha())) {
        true => Reply::DoneThenCut,
        false => Reply::Honest,
    })
    .await;
    assert_eq!(result.unwrap().post_push_digest, small().descriptor.digest);
    assert_eq!(tags(&fake), (true, true));
    // The same for a blob.
    let (_, result) = through(|seen| match seen.method == "PUT" && seen.path.starts_with(UPLOADS) {
        true => Reply::DoneThenCut,
        false => Reply::Honest,
    })
    .await;
    assert_eq!(result.unwrap().uploaded.len(), 3);
}

#[tokio::test]
async fn tags_that_show_late_are_waited_for() {
    let (_, result) = through(|seen| match seen.is("GET", &format!("/{}", sha())) && seen.nth == 2 {
        true => error(Code::ManifestUnknown),
        false => Reply::Honest,
    })
    .await;
    result.unwrap();
    let (_, result) = through(|seen| match seen.is("GET", &format!("/{}", sha())) && seen.nth >= 2 {
        true => error(Code::ManifestUnknown),
        false => Reply::Honest,
    })
    .await;
    assert_eq!(result.unwrap_err().code(), "DIG-001");
}

fn big() -> Image {
    image(&[noise(3 << 20, 3)])
}

fn has_blobs(fake: &Fake, image: &Image) {
    fake.state(|state| {
        for blob in image.manifest.blobs() {
            assert_eq!(state.blobs[&blob.digest.to_string()].len() as u64, blob.size);
        }
    });
}

fn is_big_put(seen: &Seen) -> bool {
    seen.method == "PUT" && seen.header("content-length") == (3 << 20).to_string()
}

#[tokio::test]
async fn an_upload_that_breaks_goes_on_where_the_registry_is() {
    let fake =
        Fake::start(|seen| if is_big_put(seen) { Reply::CutAfter(1_000_000) } else { Reply::Honest }).await;
    push(&fake, &big(), options()).await.unwrap();
    has_blobs(&fake, &big());
    let patch = fake.log().into_iter().find(|seen| seen.method == "PATCH").unwrap();
    let from: u64 = patch.header("content-range").split('-').next().unwrap().parse().unwrap();
    assert!(from >= 1_000_000, "{from}");
    assert_eq!(fake.count("POST", UPLOADS), 2, "one session for each blob");
}

#[tokio::test]
async fn chunks_that_break_are_asked_about_before_they_are_sent_again() {
    let chunks = Options { upload: Upload { monolithic_up_to: 0, chunk: 1 << 20 }, ..options() };
    for lost in [false, true] {
        let broke = Mutex::new(false);
        let fake = Fake::start(move |seen| {
            let mut broke = broke.lock().unwrap();
            if seen.method == "PATCH" && seen.header("content-range").starts_with("1048576-") && !*broke {
                *broke = true;
                return if lost { Reply::DoneThenCut } else { Reply::CutAfter(300_000) };
            }
            Reply::Honest
        })
        .await;
        push(&fake, &big(), chunks.clone()).await.unwrap();
        has_blobs(&fake, &big());
        assert_eq!(
            fake.log().iter().filter(|seen| seen.method == "GET" && seen.path.starts_with(UPLOADS)).count(),
            1
        );
    }
}

#[tokio::test]
async fn a_registry_that_takes_no_long_request_gets_chunks_and_the_reverse() {
    let fake = Fake::start(|seen| if is_big_put(seen) { say(413, "") } else { Reply::Honest }).await;
    push(&fake, &big(), options()).await.unwrap();
    has_blobs(&fake, &big());
    assert!(fake.count("PATCH", UPLOADS) > 0);

    let whole = Options { upload: Upload { monolithic_up_to: 0, chunk: 1 << 20 }, ..options() };
    let fake =
        Fake::start(|seen| if seen.method == "PATCH" { error(Code::Unsupported) } else { Reply::Honest })
            .await;
    push(&fake, &big(), whole).await.unwrap();
    has_blobs(&fake, &big());

    let fake = Fake::start(|seen| match seen.method.as_str() {
        "PATCH" => error(Code::Unsupported),
        _ if is_big_put(seen) => say(413, "too large"),
        _ => Reply::Honest,
    })
    .await;
    let error = push(&fake, &big(), options()).await.unwrap_err();
    assert_eq!(error.code(), "REG-005", "{error:?}");
    assert_eq!(tags(&fake), (false, false));
}

#[tokio::test]
async fn the_smallest_chunk_is_as_the_registry_demands() {
    let fake = Fake::start(|seen| match seen.method == "POST" {
        true => Reply::HonestWith("oci-chunk-min-length", (2 << 20).to_string()),
        false => Reply::Honest,
    })
    .await;
    let chunks = Options { upload: Upload { monolithic_up_to: 0, chunk: 1000 }, ..options() };
    push(&fake, &big(), chunks.clone()).await.unwrap();
    let long = fake.log().into_iter().find(|seen| seen.header("content-range").starts_with("0-2097151"));
    assert!(long.is_some());
    let greedy = Fake::start(|seen| match seen.method == "POST" {
        true => Reply::HonestWith("oci-chunk-min-length", (1_u64 << 40).to_string()),
        false => Reply::Honest,
    })
    .await;
    assert_eq!(push(&greedy, &big(), chunks).await.unwrap_err().code(), "REG-002");
}

#[tokio::test]
async fn an_upload_that_stalls_is_given_up() {
    let fake = Fake::start(|seen| match seen.method == "PUT" && seen.path.starts_with(UPLOADS) {
        true => Reply::Stall(10, "x".into()),
        false => Reply::Honest,
    })
    .await;
    let mut options = options();
    options.timeouts.request = options.timeouts.idle;
    let error = push(&fake, &small(), options).await.unwrap_err();
    assert_eq!(error.class(), Class::Outside);
    assert_eq!(tags(&fake), (false, false));
}

#[tokio::test]
async fn nonsense_to_a_writer_publishes_nothing() {
    for answer in [200, 404, 418, 307] {
        for method in ["POST", "PUT"] {
            let (fake, result) =
                through(move |seen| if seen.method == method { html(answer) } else { Reply::Honest }).await;
            let error = result.unwrap_err();
            assert!(matches!(error.class(), Class::Outside | Class::Failed), "{answer} {method} {error:?}");
            assert_eq!(tags(&fake), (false, false));
        }
    }
    // An upload location that leaves this machine in plain http.
    let (_, result) = through(|seen| match seen.method == "POST" {
        true => Reply::HonestWith("location", "http://example.com/upload".into()),
        false => Reply::Honest,
    })
    .await;
    assert_eq!(result.unwrap_err().code(), "REG-006");
}

#[tokio::test]
async fn dig_3_a_damaged_local_blob_is_not_published() {
    let image = small();
    std::fs::write(image.layout.blob_path(&image.blob(1).digest), b"0ne").unwrap();
    let fake = Fake::honest().await;
    let error = push(&fake, &image, options()).await.unwrap_err();
    assert_eq!((error.class(), tags(&fake)), (Class::Integrity, (false, false)), "{error:?}");
    fake.state(|state| assert!(!state.blobs.contains_key(&image.blob(1).digest.to_string())));

    let image = small();
    image.layout.delete_blob(&image.blob(2).digest).unwrap();
    let fake = Fake::honest().await;
    assert_eq!(push(&fake, &image, options()).await.unwrap_err().class(), Class::Integrity);
    assert_eq!(tags(&fake), (false, false));
}

#[tokio::test]
async fn a_mount_that_is_a_lie_becomes_an_upload() {
    let fake = Fake::start(|seen| {
        match seen.path.starts_with("/v2/acme/staging/blobs/") || seen.query.contains("mount=") {
            true if seen.method == "POST" => say(201, ""),
            true => say(200, ""),
            false => Reply::Honest,
        }
    })
    .await;
    let options = Options { mount_from: vec!["acme/staging".into()], ..options() };
    let pushed = push(&fake, &small(), options).await.unwrap();
    assert_eq!((pushed.mounted.len(), pushed.uploaded.len()), (0, 3));
    has_blobs(&fake, &small());
}

#[tokio::test]
async fn parallelism_is_bounded_and_progress_is_reported() {
    #[derive(Default)]
    struct Bytes(Mutex<u64>);
    impl Observer for Bytes {
        fn report(&self, progress: Progress) {
            if let Progress::Bytes { done, total, .. } = progress
                && Some(done) == total
            {
                *self.0.lock().unwrap() += done;
            }
        }
    }
    let layers: Vec<Vec<u8>> = (0..12).map(|n| noise(50_000, n)).collect();
    let image = image(&layers);
    let fake = Fake::honest().await;
    let seen = std::sync::Arc::new(Bytes::default());
    let publisher = Publisher::new(fake.repository(), Options { parallelism: 2, ..options() }).unwrap();
    let publisher = publisher.observed(seen.clone());
    let pushed = publisher.push(&image.layout, &image.descriptor, &sha()).await.unwrap();
    assert!(fake.most_in_flight() <= 2, "{}", fake.most_in_flight());
    assert_eq!(*seen.0.lock().unwrap(), pushed.uploaded_bytes);
}
