//! Attaching: what is listed afterwards, what a failure leaves, and that
//! nobody's entry is lost however the requests of several clients interleave.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use plimsoll_model::{Class, Diagnose as _, Lookup};
use plimsoll_oci::{Descriptor, Index, Manifest, media_type};
use plimsoll_registry::client::{
    Artifact, Attached, Attacher, Blob, Error, LegacyTag, Options, Reader, Via, Wanted,
};
use plimsoll_registry::error::Code;
use plimsoll_registry::server;
use plimsoll_testkit::registry::TestRegistry;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use super::fake::{Fake, MANIFEST, Reply, Seen, error, html, say};
use super::image::{noise, options, small};

pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

pub fn artifact(n: usize) -> Artifact {
    Artifact::document(BUNDLE, format!("{{\"bundle\":{n}}}"))
        .annotated("dev.sigstore.bundle.predicateType", format!("https://example.com/{n}"))
}

pub fn attacher(fake: &Fake) -> Attacher {
    Attacher::new(fake.repository(), options()).unwrap()
}

fn subject() -> Descriptor {
    small().descriptor
}

fn tag() -> String {
    format!("sha256-{}", subject().digest.hex())
}

fn is_tag(seen: &Seen, method: &str) -> bool {
    seen.is(method, &format!("/manifests/{}", tag()))
}

/// The index at the tag, as it is.
fn index(fake: &Fake) -> Value {
    fake.state(|state| {
        state.manifests.get(&tag()).map_or(Value::Null, |(_, bytes)| serde_json::from_slice(bytes).unwrap())
    })
}

fn digests(index: &Value) -> BTreeSet<String> {
    let entries = index["manifests"].as_array().into_iter().flatten();
    entries.map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect()
}

fn digest(attached: &Attached) -> String {
    attached.descriptor.digest.to_string()
}

async fn through(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> (Fake, Result<Attached, Error>) {
    let fake = Fake::start(script).await;
    let result = attacher(&fake).attach(&subject(), &artifact(1)).await;
    (fake, result)
}

/// A referrer that another tool wrote, with what we know nothing of.
fn foreign() -> (Vec<u8>, Value) {
    let mut manifest = Manifest::oci(Descriptor::of(media_type::OCI_EMPTY, b"{}"), vec![]);
    manifest.subject = Some(subject());
    let bytes = manifest.to_bytes();
    let entry = json!({
        "mediaType": MANIFEST, "size": bytes.len(), "digest": plimsoll_oci::digest_of(&bytes).to_string(),
        "artifactType": media_type::OCI_EMPTY, "annotations": { "by": "another" }, "x-unknown": { "kept": [1, 2.5] },
    });
    (bytes, entry)
}

/// Another tool writes the index with only its own entry.
fn overwrite(state: &mut super::fake::State) {
    let (bytes, entry) = foreign();
    state.tag("foreign", MANIFEST, bytes);
    let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [entry],
        "annotations": { "kept": "too" }, "x-own": true });
    state.tag(&tag(), media_type::OCI_INDEX, index.to_string());
}

#[tokio::test]
async fn without_the_api_it_is_listed_at_the_tag_and_again_is_a_no_op() {
    let (fake, result) = through(|_| Reply::Honest).await;
    let first = result.unwrap();
    assert_eq!((first.already_present, first.via), (false, Via::TagSchema));
    let index = index(&fake);
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    let entry = &index["manifests"][0];
    assert_eq!(entry["digest"], digest(&first));
    assert_eq!(entry["artifactType"], BUNDLE);
    assert_eq!(entry["annotations"]["dev.sigstore.bundle.predicateType"], "https://example.com/1");
    let writes = fake.writes();
    let again = attacher(&fake).attach(&subject(), &artifact(1)).await.unwrap();
    assert_eq!((again.already_present, again.via, fake.writes()), (true, Via::TagSchema, writes));
    assert_eq!(again.descriptor, first.descriptor);
    let reader = attacher(&fake).reader();
    assert_eq!(reader.referrers(&subject().digest).await.found().unwrap().len(), 1);
}

#[tokio::test]
async fn several_at_once_write_the_index_once() {
    let fake = Fake::honest().await;
    let artifacts: Vec<Artifact> = [1, 2, 2, 3].map(artifact).into();
    let attached = attacher(&fake).attach_all(&subject(), &artifacts).await.unwrap();
    assert_eq!(attached[1], attached[2]);
    assert_eq!(
        (digests(&index(&fake)).len(), fake.log().iter().filter(|seen| is_tag(seen, "PUT")).count()),
        (3, 1)
    );
    let more = [2, 4].map(artifact);
    let attached = attacher(&fake).attach_all(&subject(), &more).await.unwrap();
    assert_eq!([attached[0].already_present, attached[1].already_present], [true, false]);
    assert_eq!(digests(&index(&fake)).len(), 4);
    assert!(attacher(&fake).attach_all(&subject(), &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_others_wrote_stays_as_they_wrote_it() {
    let fake = Fake::honest().await;
    fake.state(overwrite);
    attacher(&fake).attach(&subject(), &artifact(1)).await.unwrap();
    let index = index(&fake);
    assert_eq!(index["manifests"][0], foreign().1);
    assert_eq!((&index["annotations"]["kept"], &index["x-own"]), (&json!("too"), &json!(true)));
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_entry_of_another_digest_algorithm_is_kept_and_not_hidden() {
    let fake = Fake::honest().await;
    let strange =
        json!({ "mediaType": MANIFEST, "size": 1, "digest": format!("sha512:{}", "0".repeat(128)) });
    let index_of = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [strange] });
    fake.state(|state| state.tag(&tag(), media_type::OCI_INDEX, index_of.to_string()));
    attacher(&fake).attach(&subject(), &artifact(1)).await.unwrap();
    assert_eq!(index(&fake)["manifests"][0], strange);
    let reader = attacher(&fake).reader();
    let listed = reader.referrers(&subject().digest).await;
    assert!(matches!(&listed, Lookup::Unknown(why) if why.contains("sha512")), "{listed:?}");
    let evidence = reader.evidence(&subject().digest, &Wanted::default()).await;
    assert_eq!((evidence.referrers.found().unwrap().len(), evidence.unreadable.len()), (1, 1));
}

/// The tag is overwritten by somebody who did not read it, right after our
/// write, or after our first look at it.
#[tokio::test]
async fn who_writes_over_it_is_merged_with() {
    for look in [2, 3] {
        let (fake, result) = through(move |seen| match is_tag(seen, "GET") && seen.nth == look {
            true => Reply::First(Box::new(overwrite)),
            false => Reply::Honest,
        })
        .await;
        let attached = result.unwrap();
        let found = digests(&index(&fake));
        assert!(found.contains(&digest(&attached)) && found.len() == 2, "{look}: {found:?}");
    }
}

/// An entry that was seen and is gone is put back, unless its manifest is
/// gone as well: that was on purpose.
#[tokio::test]
async fn what_was_deleted_on_purpose_stays_deleted() {
    for on_purpose in [false, true] {
        let fake = Fake::start(move |seen| match is_tag(seen, "GET") && seen.nth == 2 {
            true => Reply::First(Box::new(move |state| {
                state.manifests.remove(&tag());
                if on_purpose {
                    state.manifests.retain(|key, _| key.as_str() != foreign().1["digest"]);
                }
            })),
            false => Reply::Honest,
        })
        .await;
        fake.state(overwrite);
        attacher(&fake).attach(&subject(), &artifact(1)).await.unwrap();
        assert_eq!(digests(&index(&fake)).len(), if on_purpose { 1 } else { 2 });
    }
}

/// Sixteen clients read the same index before any of them writes, then all
/// write; after that, requests take turns as a seed says.
#[tokio::test]
async fn sixteen_at_once_lose_nothing() {
    const WRITERS: usize = 16;
    let gates: Arc<Vec<Barrier>> = Arc::new((0..3).map(|_| Barrier::new(WRITERS)).collect());
    let turns = Arc::new(Mutex::new(fastrand::Rng::with_seed(7)));
    let fake = Fake::start(move |seen| {
        if !is_tag(seen, "GET") && !is_tag(seen, "PUT") {
            return Reply::Honest;
        }
        let gate = match (seen.method.as_str(), seen.nth / WRITERS) {
            // The first reading is that of the list, the second that of the index.
            ("GET", round @ (0 | 1)) => Some(round),
            ("PUT", 0) => Some(2),
            _ => None,
        };
        let (gates, turn) = (gates.clone(), turns.lock().unwrap().u64(0..20));
        Reply::After(Box::pin(async move {
            match gate {
                Some(gate) => {
                    gates[gate].wait().await;
                }
                None => tokio::time::sleep(Duration::from_millis(turn)).await,
            }
        }))
    })
    .await;
    fake.state(overwrite);
    let writers = (0..WRITERS).map(|n| {
        // On a busy machine it takes a while until all have come to a gate.
        let mut options = options();
        options.timeouts.request = Duration::from_secs(120);
        let attacher = Attacher::new(fake.repository(), options).unwrap();
        tokio::spawn(async move { attacher.attach(&subject(), &artifact(n)).await })
    });
    let mut expected: BTreeSet<String> = [foreign().1["digest"].as_str().unwrap().to_owned()].into();
    for attached in join_all(writers).await {
        expected.insert(digest(&attached.unwrap().unwrap()));
    }
    assert_eq!(digests(&index(&fake)), expected);
    assert!(fake.log().iter().filter(|seen| is_tag(seen, "PUT")).count() > WRITERS, "they did not meet");
}

/// A registry that keeps to `If-Match` makes it certain, whoever is delayed
/// for however long.
#[tokio::test]
async fn where_conditions_hold_a_late_writer_loses_nothing() {
    let late = Arc::new(tokio::sync::Notify::new());
    let other = Arc::new(tokio::sync::Notify::new());
    let (wait, reached) = (late.clone(), other.clone());
    let taken = Mutex::new(false);
    // As an honest registry that knows conditions: the first write is late.
    let fake = Fake::start(move |seen| {
        if is_tag(seen, "PUT") && !std::mem::replace(&mut *taken.lock().unwrap(), true) {
            assert_eq!(seen.header("if-none-match"), "*");
            let (wait, reached) = (wait.clone(), reached.clone());
            return Reply::Conditional(Box::pin(async move {
                reached.notify_one();
                wait.notified().await;
            }));
        }
        if is_tag(seen, "PUT") { Reply::Conditional(Box::pin(async {})) } else { Reply::Honest }
    })
    .await;
    let first = attacher(&fake);
    let first = tokio::spawn(async move { first.attach(&subject(), &artifact(1)).await });
    other.notified().await;
    let second = attacher(&fake).attach(&subject(), &artifact(2)).await.unwrap();
    late.notify_one();
    let first = first.await.unwrap().unwrap();
    assert_eq!(digests(&index(&fake)), [digest(&first), digest(&second)].into());
}

/// Without conditions, a write that is late for longer than the other looks
/// erases it: no client can prevent that. The same attach again mends it.
#[tokio::test]
async fn what_a_late_writer_erased_is_put_back_by_the_next_run() {
    let fake = Fake::honest().await;
    let attached = attacher(&fake).attach(&subject(), &artifact(1)).await.unwrap();
    fake.state(overwrite);
    let writes = fake.count("PUT", "/blobs/");
    let again = attacher(&fake).attach(&subject(), &artifact(1)).await.unwrap();
    assert!(!again.already_present);
    assert_eq!(fake.count("PUT", "/blobs/"), writes, "blobs were not sent again");
    let found = digests(&index(&fake));
    assert!(found.len() == 2 && found.contains(&digest(&attached)));
}

/// Each durable write: failed, and failed but persisted.
#[tokio::test]
async fn a_failure_at_any_write_is_made_good_by_the_next_run() {
    type Is = fn(&Seen) -> bool;
    let writes: [(&str, Is); 3] = [
        ("blob", |seen| seen.method == "PUT" && seen.path.contains("/blobs/uploads/")),
        ("manifest", |seen| seen.method == "PUT" && seen.path.contains("/manifests/sha256:")),
        ("index", |seen| is_tag(seen, "PUT")),
    ];
    for (what, is_write) in writes {
        let healed = Arc::new(Mutex::new(false));
        let now = healed.clone();
        let (fake, result) = through(move |seen| match is_write(seen) && !*now.lock().unwrap() {
            true => say(507, "disk full"),
            false => Reply::Honest,
        })
        .await;
        let failed = result.unwrap_err();
        assert_eq!(failed.class(), Class::Failed, "{what}: {failed:?}");
        assert_eq!(index(&fake), Value::Null, "{what}");
        *healed.lock().unwrap() = true;
        let attached = attacher(&fake).attach(&subject(), &artifact(1)).await.unwrap();
        assert!(!attached.already_present && digests(&index(&fake)).contains(&digest(&attached)), "{what}");

        // The answers are lost, each time.
        let (fake, result) = through(move |seen| match is_write(seen) {
            true => Reply::DoneThenCut,
            false => Reply::Honest,
        })
        .await;
        // A manifest by digest is not looked for after a lost answer; it is
        // written again, and in the end found to be there.
        match result {
            Ok(attached) => assert!(digests(&index(&fake)).contains(&digest(&attached)), "{what}"),
            Err(lost) => assert_eq!((what, lost.code()), ("manifest", "REG-001")),
        }
    }
}

#[tokio::test]
async fn a_condition_that_never_holds_is_left_out() {
    let (fake, result) = through(|seen| {
        let conditional = !seen.header("if-none-match").is_empty() || !seen.header("if-match").is_empty();
        if is_tag(seen, "PUT") && conditional { say(412, "") } else { Reply::Honest }
    })
    .await;
    assert!(digests(&index(&fake)).contains(&digest(&result.unwrap())));
}

#[tokio::test]
async fn who_is_always_written_over_gives_up_and_says_so() {
    let fake = Fake::start(|seen| match is_tag(seen, "GET") && seen.nth > 1 {
        true => Reply::First(Box::new(overwrite)),
        false => Reply::Honest,
    })
    .await;
    let mut options = options();
    options.retry.total = Duration::from_millis(300);
    let attacher = Attacher::new(fake.repository(), options).unwrap();
    let lost = attacher.attach(&subject(), &artifact(1)).await.unwrap_err();
    assert_eq!((lost.class(), lost.code()), (Class::Failed, "REG-012"), "{lost:?}");
    assert!(lost.found().unwrap().contains("somebody writes over it"), "{lost:?}");
    // What the other wrote was not lost either.
    assert!(digests(&index(&fake)).contains(foreign().1["digest"].as_str().unwrap()));
}

#[tokio::test]
async fn what_cannot_be_read_is_not_written_over() {
    for (kind, body) in
        [(MANIFEST, String::from_utf8(small().bytes()).unwrap()), (media_type::OCI_INDEX, "[]".into())]
    {
        let fake = Fake::honest().await;
        fake.state(|state| state.tag(&tag(), kind, body));
        let refused = attacher(&fake).attach(&subject(), &artifact(1)).await.unwrap_err();
        assert_eq!(
            (refused.class(), refused.code(), fake.writes()),
            (Class::Integrity, "DIG-003", 0),
            "{refused:?}"
        );
    }
    for status in [200, 401, 403, 404, 429, 500] {
        let (fake, result) =
            through(move |seen| match is_tag(seen, "GET") || seen.path.contains("/referrers/") {
                true => html(status),
                false => Reply::Honest,
            })
            .await;
        assert_eq!((result.unwrap_err().class(), fake.writes()), (Class::Outside, 0), "{status}");
    }
}

#[tokio::test]
async fn an_index_that_would_be_too_large_is_not_written() {
    let fake = Fake::honest().await;
    let (_, mut entry) = foreign();
    entry["annotations"]["large"] = "x".repeat((4 << 20) - 600).into();
    let large = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [entry] });
    fake.state(|state| state.tag(&tag(), media_type::OCI_INDEX, large.to_string()));
    let refused = attacher(&fake).attach(&subject(), &artifact(1)).await.unwrap_err();
    assert_eq!((refused.class(), refused.code()), (Class::Failed, "REG-013"), "{refused:?}");
    assert_eq!(digests(&index(&fake)).len(), 1);
    let huge = Artifact::document("x", "x").annotated("note", "x".repeat(5 << 20));
    let refused = attacher(&fake).attach(&subject(), &huge).await.unwrap_err();
    assert_eq!(refused.code(), "REG-013");
}

/// A registry with the API: `page` is what it lists.
async fn with_api(page: impl Fn(&Seen) -> Bytes + Send + Sync + 'static) -> Fake {
    Fake::start(move |seen| {
        if seen.path.contains("/referrers/") {
            return Reply::Say(200, vec![("content-type", media_type::OCI_INDEX.into())], page(seen));
        }
        match seen.method == "PUT" && seen.path.contains("/manifests/sha256:") {
            true => Reply::HonestWith("oci-subject", subject().digest.to_string()),
            false => Reply::Honest,
        }
    })
    .await
}

#[tokio::test]
async fn with_the_api_the_list_is_awaited_and_the_tag_left_alone() {
    let expected = {
        let (_, result) = through(|_| Reply::Honest).await;
        result.unwrap().descriptor
    };
    let listed: Bytes = Index::oci(vec![expected.clone()]).to_bytes().into();
    let empty: Bytes = Index::oci(vec![]).to_bytes().into();
    // It shows a moment later.
    let (late, none) = (listed.clone(), empty.clone());
    let fake = with_api(move |seen| if seen.nth < 2 { none.clone() } else { late.clone() }).await;
    let attached = attacher(&fake).attach(&subject(), &artifact(1)).await.unwrap();
    assert_eq!((attached.via, attached.already_present), (Via::ReferrersApi, false));
    assert_eq!(index(&fake), Value::Null);
    let again = attacher(&fake).attach(&subject(), &artifact(1)).await.unwrap();
    assert_eq!((again.via, again.already_present), (Via::ReferrersApi, true));
    // It says that it lists it, and never does.
    let fake = with_api(move |_| empty.clone()).await;
    let lost = attacher(&fake).attach(&subject(), &artifact(1)).await.unwrap_err();
    assert_eq!((lost.class(), lost.code()), (Class::Failed, "REG-012"), "{lost:?}");
    // What it listed and no longer has is uploaded again.
    let fake = with_api(move |_| listed.clone()).await;
    assert!(!attacher(&fake).attach(&subject(), &artifact(1)).await.unwrap().already_present);
}

#[tokio::test]
async fn an_api_without_its_header_is_looked_at() {
    let (_, result) = through(|_| Reply::Honest).await;
    let listed: Bytes = Index::oci(vec![result.unwrap().descriptor]).to_bytes().into();
    let empty: Bytes = Index::oci(vec![]).to_bytes().into();
    for lists in [true, false] {
        let (listed, empty) = (listed.clone(), empty.clone());
        let fake = Fake::start(move |seen| match seen.path.contains("/referrers/") {
            true => {
                Reply::Say(200, vec![], if lists && seen.nth > 0 { listed.clone() } else { empty.clone() })
            }
            false => Reply::Honest,
        })
        .await;
        let attached = attacher(&fake).attach(&subject(), &artifact(1)).await.unwrap();
        let expected = if lists { Via::ReferrersApi } else { Via::TagSchema };
        assert_eq!((attached.via, digests(&index(&fake)).is_empty()), (expected, lists));
    }
}

#[tokio::test]
async fn the_embedded_registry_with_and_without_the_api() {
    for referrers_api in [true, false] {
        let server = server::Options { referrers_api, ..server::Options::default() };
        let registry = TestRegistry::start_with(server);
        let repository = registry.repository("acme/payouts");
        let via = if referrers_api { Via::ReferrersApi } else { Via::TagSchema };
        let writers = (0..16).map(|n| {
            let attacher = Attacher::new(repository.clone(), options()).unwrap();
            tokio::spawn(async move { attacher.attach(&subject(), &artifact(n)).await })
        });
        let mut expected = BTreeSet::new();
        for attached in join_all(writers).await {
            let attached = attached.unwrap().unwrap();
            assert_eq!(attached.via, via);
            expected.insert(attached.descriptor.digest);
        }
        let attacher = Attacher::new(repository, options()).unwrap();
        let listed = attacher.reader().referrers(&subject().digest).await;
        let listed: BTreeSet<_> = listed.found().unwrap().iter().map(|entry| entry.digest).collect();
        assert_eq!(listed, expected);
        assert!(attacher.attach(&subject(), &artifact(3)).await.unwrap().already_present);
    }
}

/// A registry that was upgraded: what its old index lists counts as well.
#[tokio::test]
async fn a_migrated_registry_is_read_in_both_places() {
    let without = server::Options { referrers_api: false, ..server::Options::default() };
    let mut registry = TestRegistry::start_with(without);
    let attacher = Attacher::new(registry.repository("acme/payouts"), options()).unwrap();
    let old = attacher.attach(&subject(), &artifact(1)).await.unwrap();
    // An entry that only the index has: its manifest names no subject.
    let image = Manifest::oci(Descriptor::of(media_type::OCI_EMPTY, b"{}"), vec![]).to_bytes();
    let repository = registry.root().join("acme/payouts");
    let layout = plimsoll_oci::Layout::open(&repository).unwrap();
    layout.put(&image).unwrap();
    let odd = Descriptor::of(MANIFEST, &image);
    layout.add(odd.clone()).unwrap();
    let index = Index::oci(vec![old.descriptor.clone(), odd.clone()]).to_bytes();
    layout.put(&index).unwrap();
    layout.tag(&tag(), Descriptor::of(media_type::OCI_INDEX, &index)).unwrap();
    registry.restart_with(server::Options::default());
    let new = attacher.attach(&subject(), &artifact(2)).await.unwrap();
    assert_eq!(new.via, Via::ReferrersApi);
    let listed = attacher.reader().referrers(&subject().digest).await;
    let listed: BTreeSet<_> = listed.found().unwrap().iter().map(|entry| entry.digest).collect();
    assert_eq!(listed, [old.descriptor.digest, new.descriptor.digest, odd.digest].into());
    let again = attacher.attach(&subject(), &artifact(1)).await.unwrap();
    assert!(again.already_present);
}

/// Registries refuse an index that names what they do not have.
#[tokio::test]
async fn an_index_with_an_entry_that_was_deleted_does_not_block_attaching() {
    let without = server::Options { referrers_api: false, ..server::Options::default() };
    let registry = TestRegistry::start_with(without);
    let attacher = Attacher::new(registry.repository("acme/payouts"), options()).unwrap();
    let both = attacher.attach_all(&subject(), &[1, 2].map(artifact)).await.unwrap();
    let layout = plimsoll_oci::Layout::open(registry.root().join("acme/payouts")).unwrap();
    layout.untag_digest(&both[0].descriptor.digest).unwrap();
    let third = attacher.attach(&subject(), &artifact(3)).await.unwrap();
    let listed = attacher.reader().referrers(&subject().digest).await;
    let listed: Vec<_> = listed.found().unwrap().iter().map(|entry| entry.digest).collect();
    assert_eq!(listed, [both[1].descriptor.digest, third.descriptor.digest]);
}

fn signature(n: usize) -> Blob {
    let mut layer = Blob::new("application/vnd.dev.cosign.simplesigning.v1+json", "{\"critical\":{}}");
    layer.annotations.insert("dev.cosignproject.cosign/signature".into(), format!("signature {n}"));
    layer
}

#[tokio::test]
async fn legacy_layers_are_appended_once_each_and_lost_by_nobody() {
    let fake = Fake::honest().await;
    let writers = (0..8).map(|n| {
        let attacher = attacher(&fake);
        tokio::spawn(async move {
            attacher.attach_legacy(&subject().digest, LegacyTag::Signatures, &[signature(n)]).await
        })
    });
    for attached in join_all(writers).await {
        assert!(!attached.unwrap().unwrap().already_present);
    }
    let name = format!("{}.sig", tag());
    let again = attacher(&fake)
        .attach_legacy(&subject().digest, LegacyTag::Signatures, &[signature(3)])
        .await
        .unwrap();
    assert!(again.already_present);
    assert_eq!(again.tag, name);
    let (manifest, config) = fake.state(|state| {
        let manifest = Manifest::parse(&state.manifests[&name].1).unwrap();
        let config: Value =
            serde_json::from_slice(&state.blobs[&manifest.config.digest.to_string()]).unwrap();
        (manifest, config)
    });
    assert_eq!(manifest.layers.len(), 8);
    let signatures: BTreeSet<_> = manifest
        .layers
        .iter()
        .map(|layer| &layer.annotations["dev.cosignproject.cosign/signature"])
        .collect();
    assert_eq!(signatures.len(), 8);
    assert_eq!(manifest.config.media_type, media_type::OCI_CONFIG);
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 8);
    let none = attacher(&fake).attach_legacy(&subject().digest, LegacyTag::Attestations, &[]).await;
    assert_eq!(none.unwrap_err().class(), Class::Usage);
}

#[tokio::test]
async fn large_layers_go_up_whole_and_come_down_the_same() {
    let fake = Fake::honest().await;
    let bytes = noise(3 << 20, 5);
    let attached = attacher(&fake)
        .attach(&subject(), &Artifact::document("application/spdx+json", bytes.clone()))
        .await
        .unwrap();
    let reader = Reader::new(fake.repository(), Options { parallelism: 1, ..options() }).unwrap();
    let evidence = reader.evidence(&subject().digest, &Wanted::default()).await;
    let found = evidence.referrers.found().unwrap();
    assert_eq!(found[0].descriptor.digest, attached.descriptor.digest);
    assert_eq!(found[0].content.found().unwrap().layers[0].bytes, Lookup::Found(bytes.into()));
    // A registry that does not take it leaves nothing listed.
    let (fake, result) = through(|seen| match seen.path.contains("/blobs/uploads/") {
        true => error(Code::Denied),
        false => Reply::Honest,
    })
    .await;
    assert_eq!((result.unwrap_err().class(), index(&fake)), (Class::Outside, Value::Null));
}
