//! Reading what is attached: how many requests it takes, and that whatever the
//! other side does, nothing turns into "nothing attached".

use std::time::Duration;

use bytes::Bytes;
use plimsoll_model::{Digest, Lookup};
use plimsoll_oci::{Descriptor, Index, Manifest, media_type};
use plimsoll_registry::client::{
    Artifact, Attacher, Blob, Evidence, LegacyTag, Reader, Referrer, Wanted, may_be,
};
use plimsoll_registry::error::Code;
use plimsoll_registry::server;
use plimsoll_testkit::registry::TestRegistry;

use super::attaching::{BUNDLE, artifact, attacher};
use super::fake::{Fake, MANIFEST, Reply, Seen, error, html, say};
use super::image::{empty_layout, noise, options, small};

fn subject() -> Descriptor {
    small().descriptor
}

fn reader(fake: &Fake) -> Reader {
    Reader::new(fake.repository(), options()).unwrap()
}

fn bundle(size: usize, seed: u64) -> Artifact {
    Artifact::document(BUNDLE, noise(size, seed))
}

async fn read(fake: &Fake) -> Evidence {
    reader(fake).evidence(&subject().digest, &Wanted::default()).await
}

fn referrers(evidence: &Evidence) -> &[Referrer] {
    evidence.referrers.found().unwrap_or_else(|| panic!("{evidence:?}"))
}

fn unknown<T: std::fmt::Debug>(lookup: &Lookup<T>, says: &str) {
    assert!(matches!(lookup, Lookup::Unknown(why) if why.contains(says)), "{says}: {lookup:?}");
}

fn invalid<T: std::fmt::Debug>(lookup: &Lookup<T>, says: &str) {
    assert!(matches!(lookup, Lookup::Invalid(why) if why.contains(says)), "{says}: {lookup:?}");
}

/// A registry whose API lists these, and nothing at the fallback tag.
async fn listing(entries: Vec<Descriptor>, rest: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Fake {
    let page: Bytes = Index::oci(entries).to_bytes().into();
    Fake::start(move |seen| match seen.path.contains("/referrers/") {
        true => Reply::Say(200, vec![("content-type", media_type::OCI_INDEX.into())], page.clone()),
        false => rest(seen),
    })
    .await
}

/// A manifest that refers to `subject`, with one layer, in the registry.
fn hold(fake: &Fake, subject: Option<Descriptor>, layer: Descriptor) -> Descriptor {
    let mut manifest = Manifest::oci(Descriptor::of(media_type::OCI_EMPTY, b"{}"), vec![layer]);
    manifest.subject = subject;
    let bytes = manifest.to_bytes();
    let descriptor = Descriptor::of(MANIFEST, &bytes);
    fake.state(|state| {
        state.manifests.insert(descriptor.digest.to_string(), (MANIFEST.into(), bytes.into()));
    });
    descriptor
}

#[tokio::test]
async fn twenty_referrers_are_at_most_25_requests() {
    for referrers_api in [true, false] {
        let registry =
            TestRegistry::start_with(server::Options { referrers_api, ..server::Options::default() });
        let attacher = Attacher::new(registry.repository("acme/payouts"), options()).unwrap();
        let twenty: Vec<Artifact> = (0..20).map(|n| bundle(20_000, n)).collect();
        attacher.attach_all(&subject(), &twenty).await.unwrap();
        registry.faults().forget_requests();
        let reader = Reader::new(registry.repository("acme/payouts"), options()).unwrap();
        let evidence = reader.evidence(&subject().digest, &Wanted::default()).await;
        let found = referrers(&evidence);
        assert_eq!(found.len(), 20);
        for referrer in found {
            let layers = &referrer.content.found().unwrap().layers;
            assert_eq!(layers[0].bytes.found().unwrap().len(), 20_000);
        }
        assert_eq!((evidence.signatures, evidence.attestations), (Lookup::Absent, Lookup::Absent));
        assert_eq!(registry.faults().requests().len(), 24, "api: {referrers_api}");
    }
}

#[tokio::test]
async fn only_what_is_wanted_is_read_and_a_missing_label_is_wanted() {
    let fake = Fake::honest().await;
    let mut all: Vec<Artifact> = (0..3).map(artifact).collect();
    all.push(Artifact { artifact_type: media_type::OCI_EMPTY.into(), ..bundle(10, 1) });
    all.push(Artifact::document("application/vnd.example.chart", "helm"));
    attacher(&fake).attach_all(&subject(), &all).await.unwrap();
    let want = |entry: &Descriptor| may_be(entry, &[BUNDLE], &["https://example.com/1"]);
    let wanted = Wanted { want: &want, ..Wanted::default() };
    let evidence = reader(&fake).evidence(&subject().digest, &wanted).await;
    assert_eq!((referrers(&evidence).len(), evidence.unwanted.len()), (2, 3));
    assert!(referrers(&evidence).iter().all(|referrer| referrer.content.found().is_some()));
}

#[test]
fn labels_that_say_nothing_may_be_anything() {
    let entry = |kind: Option<&str>, predicate: Option<&str>| {
        let mut entry = Descriptor::of(MANIFEST, b"x");
        entry.artifact_type = kind.map(Into::into);
        if let Some(predicate) = predicate {
            entry.annotations.insert("dev.sigstore.bundle.predicateType".into(), predicate.into());
        }
        may_be(&entry, &[BUNDLE], &["p"])
    };
    for (kind, predicate, may) in [
        (None, None, true),
        (Some(""), None, true),
        (Some(media_type::OCI_EMPTY), None, true),
        (Some(BUNDLE), None, true),
        (Some(BUNDLE), Some("p"), true),
        (Some(BUNDLE), Some(""), true),
        (Some(BUNDLE), Some("q"), false),
        (Some("other"), None, false),
    ] {
        assert_eq!(entry(kind, predicate), may, "{kind:?} {predicate:?}");
    }
}

#[tokio::test]
async fn what_is_kept_is_not_asked_for_again() {
    let fake = Fake::honest().await;
    let all = [bundle(200_000, 1), bundle(100, 2)];
    attacher(&fake).attach_all(&subject(), &all).await.unwrap();
    let first = read(&fake).await;
    let (_folder, store) = empty_layout();
    for referrer in referrers(&first) {
        referrer.keep(&store).unwrap();
    }
    let before = fake.log().len();
    let wanted = Wanted { store: Some(&store), ..Wanted::default() };
    let again = reader(&fake).evidence(&subject().digest, &wanted).await;
    assert_eq!(again, first);
    assert!(
        fake.log()[before..]
            .iter()
            .all(|seen| !seen.path.contains("sha256:") || seen.path.contains("/referrers/"))
    );
    // A store whose content is damaged is no store.
    for blob in store.blobs().unwrap() {
        std::fs::write(store.blob_path(&blob), "damaged").unwrap();
    }
    assert_eq!(reader(&fake).evidence(&subject().digest, &wanted).await, first);
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_unknown() {
    let two_pages = |seen: &Seen| {
        let page = Index::oci(vec![Descriptor::of(MANIFEST, b"x")]).to_bytes();
        let link = ("link", format!("<?page={}>; rel=\"next\"", seen.nth + 1));
        Reply::Say(200, vec![link], page.into())
    };
    type Boxed = Box<dyn Fn(&Seen) -> Reply + Send + Sync>;
    type Script = fn(&Seen) -> Reply;
    let mut scripts: Vec<(&str, Boxed)> = vec![
        ("page loop", Box::new(two_pages)),
        ("web page of a proxy", Box::new(|_: &Seen| html(404))),
        ("silence", Box::new(|_: &Seen| Reply::Stall(1000, "{".into()))),
        ("no manifests", Box::new(|_: &Seen| say(200, r#"{"schemaVersion":2}"#))),
        ("another schema", Box::new(|_: &Seen| say(200, r#"{"schemaVersion":1,"manifests":[]}"#))),
        ("refused", Box::new(|_: &Seen| error(Code::Denied))),
    ];
    for status in [200, 302, 400, 401, 403, 405, 406, 410, 429, 500, 502, 503] {
        scripts.push(("page", Box::new(move |_: &Seen| html(status))));
        scripts.push(("text", Box::new(move |_: &Seen| say(status, "no"))));
    }
    for (what, script) in scripts {
        let fake = Fake::start(move |seen| match seen.path.contains("/referrers/") {
            true => script(seen),
            false => Reply::Honest,
        })
        .await;
        let mut options = options();
        options.timeouts.request = Duration::from_millis(300);
        let reader = Reader::new(fake.repository(), options).unwrap();
        let evidence = reader.evidence(&subject().digest, &Wanted::default()).await;
        assert!(
            matches!(&evidence.referrers, Lookup::Unknown(why) if why.len() > 20),
            "{what}: {evidence:?}"
        );
        // What could be read of the rest was.
        assert_eq!(evidence.signatures, Lookup::Absent, "{what}");
    }
    // The same for the fallback tag, whether or not there is an API.
    let scripts: [Script; 4] = [|_| html(404), |_| say(429, ""), |_| say(500, ""), |_| say(403, "")];
    for api in [true, false] {
        for script in scripts {
            let tag = format!("/manifests/sha256-{}", subject().digest.hex());
            let fake = Fake::start(move |seen| match seen.path.ends_with(&tag) {
                true => script(seen),
                false if api && seen.path.contains("/referrers/") => {
                    Reply::Say(200, vec![], Index::oci(vec![]).to_bytes().into())
                }
                false => Reply::Honest,
            })
            .await;
            assert!(matches!(read(&fake).await.referrers, Lookup::Unknown(_)));
        }
    }
}

#[tokio::test]
async fn no_api_is_what_a_registry_says_in_its_own_words() {
    let header = || vec![("docker-distribution-api-version", "registry/2.0".to_owned())];
    type Script = Box<dyn Fn(&Seen) -> Reply + Send + Sync>;
    let scripts: Vec<Script> = vec![
        Box::new(move |_| Reply::Say(404, header(), "404 page not found".into())),
        Box::new(move |_| Reply::Say(404, header(), "<html>not found</html>".into())),
        Box::new(|_| error(Code::ManifestUnknown)),
        Box::new(|_| error(Code::Unsupported)),
        Box::new(|_| say(404, "")),
        Box::new(|_| Reply::Honest),
    ];
    for script in scripts {
        let fake = Fake::start(move |seen| match seen.path.contains("/referrers/") {
            true => script(seen),
            false => Reply::Honest,
        })
        .await;
        let attached = attacher(&fake).attach(&subject(), &artifact(1)).await.unwrap();
        let evidence = read(&fake).await;
        assert_eq!(referrers(&evidence)[0].descriptor.digest, attached.descriptor.digest);
    }
    // Text from something that is not known to be a registry.
    let fake = Fake::start(|_| say(404, "nothing here")).await;
    assert!(matches!(read(&fake).await.referrers, Lookup::Unknown(_)));
}

#[tokio::test]
async fn ten_thousand_entries_are_bounded_work() {
    let entries = |count: u64| -> Vec<Descriptor> {
        (0..count).map(|n| Descriptor::of(MANIFEST, &n.to_le_bytes())).collect()
    };
    let fake = listing(entries(10_000), |_| Reply::Honest).await;
    let evidence = read(&fake).await;
    let found = referrers(&evidence);
    assert_eq!(found.len(), 10_000);
    assert_eq!(found[0].content, Lookup::Absent, "the registry says that it does not exist");
    unknown(&found[9_999].content, "more than 256");
    assert!(fake.log().len() < 270, "{}", fake.log().len());

    let fake = listing(entries(10_001), |_| Reply::Honest).await;
    unknown(&read(&fake).await.referrers, "more than 10000 referrers");
    let endless = Fake::start(move |seen| {
        let page = Index::oci(
            (0..1000).map(|n| Descriptor::of(MANIFEST, format!("{} {n}", seen.nth).as_bytes())).collect(),
        );
        Reply::Say(200, vec![("link", format!("<?page={}>; rel=\"next\"", seen.nth))], page.to_bytes().into())
    })
    .await;
    unknown(&read(&endless).await.referrers, "more than 10000 referrers");
}

#[tokio::test]
async fn each_referrer_has_an_answer_of_its_own() {
    let fake = Fake::honest().await;
    let subject = || Some(subject());
    let other = Some(Descriptor::of(MANIFEST, b"another image"));
    let layer = Descriptor::of(BUNDLE, b"layer");
    fake.state(|state| state.blobs.insert(layer.digest.to_string(), Bytes::from_static(b"layer")));
    let good = hold(&fake, subject(), layer.clone());
    let foreign = hold(&fake, other, layer.clone());
    let without = hold(&fake, None, layer.clone());
    let giant = Descriptor::new(BUNDLE, Digest::from_sha256([7; 32]), 1 << 30);
    let giant = hold(&fake, subject(), giant);
    let missing = hold(&fake, subject(), Descriptor::of(BUNDLE, b"missing"));
    let wrong = Descriptor::of(BUNDLE, b"right");
    fake.state(|state| state.blobs.insert(wrong.digest.to_string(), Bytes::from_static(b"wrong")));
    let wrong = hold(&fake, subject(), wrong);
    let mut lying = Descriptor::of(BUNDLE, b"layer");
    lying.data = Some("bGlhcnM=".into());
    let lying = hold(&fake, subject(), lying);
    let replaced = Descriptor::of(MANIFEST, b"replaced");
    fake.state(|state| state.manifests.insert(replaced.digest.to_string(), (MANIFEST.into(), "{}".into())));
    let longer = Descriptor { size: good.size + 1, ..good.clone() };
    let giant_manifest = Descriptor::new(MANIFEST, Digest::from_sha256([8; 32]), 1 << 30);
    let index = Index::oci(vec![]).to_bytes();
    let an_index = Descriptor::of(media_type::OCI_INDEX, &index);
    fake.state(|state| {
        state.manifests.insert(an_index.digest.to_string(), (media_type::OCI_INDEX.into(), index.into()))
    });
    let entries =
        vec![good, foreign, without, giant, missing, wrong, lying, replaced, giant_manifest, an_index];
    let page: Bytes = Index::oci(entries).to_bytes().into();
    fake.state(|state| {
        state.tag(&format!("sha256-{}", small().descriptor.digest.hex()), media_type::OCI_INDEX, page)
    });

    let evidence = read(&fake).await;
    let found = referrers(&evidence);
    let layer_of = |at: usize| {
        &found[at].content.found().unwrap_or_else(|| panic!("{at}: {:?}", found[at])).layers[0].bytes
    };
    assert_eq!(layer_of(0), &Lookup::Found(Bytes::from_static(b"layer")));
    invalid(&found[1].content, "another image");
    invalid(&found[2].content, "without a subject");
    unknown(layer_of(3), "at most 67108864 bytes; found 1073741824 bytes");
    assert_eq!(layer_of(4), &Lookup::Absent);
    invalid(layer_of(5), "sha256:");
    // What it embeds is not what its digest says; the blob is.
    assert_eq!(layer_of(6), &Lookup::Found(Bytes::from_static(b"layer")));
    invalid(&found[7].content, "sha256:");
    unknown(&found[8].content, "1073741824 bytes");
    invalid(&found[9].content, "a manifest with layers");
    assert_eq!(fake.count("GET", &Digest::from_sha256([7; 32]).to_string()), 0, "refused unread");
    assert_eq!(fake.count("GET", &Digest::from_sha256([8; 32]).to_string()), 0, "refused unread");

    let fake_size = listing(vec![longer], |_| Reply::Honest).await;
    hold(&fake_size, subject(), layer);
    invalid(&referrers(&read(&fake_size).await)[0].content, "bytes");
}

#[tokio::test]
async fn a_referrer_that_fails_is_unknown_and_the_others_are_not() {
    for reply in [|| say(429, ""), || say(500, ""), || html(200), || html(404), || Reply::CutAfter(0)] {
        let fake = Fake::honest().await;
        let attached = attacher(&fake).attach_all(&subject(), &[1, 2].map(artifact)).await.unwrap();
        let broken = format!("/manifests/{}", attached[0].descriptor.digest);
        let page: Bytes =
            Index::oci(attached.iter().map(|one| one.descriptor.clone()).collect()).to_bytes().into();
        let held = fake.state(|state| state.manifests.clone());
        let fake = Fake::start(move |seen| match seen.path.ends_with(&broken) {
            true => reply(),
            false if seen.path.contains("/referrers/") => Reply::Say(200, vec![], page.clone()),
            false => Reply::Honest,
        })
        .await;
        fake.state(|state| state.manifests = held);
        let evidence = read(&fake).await;
        assert!(
            !matches!(referrers(&evidence)[0].content, Lookup::Absent | Lookup::Found(_)),
            "{evidence:?}"
        );
        assert!(referrers(&evidence)[1].content.found().is_some());
    }
}

#[tokio::test]
async fn bytes_layers_and_time_are_bounded() {
    let fake = Fake::honest().await;
    attacher(&fake).attach_all(&subject(), &[1, 2, 3].map(|n| bundle(300_000, n))).await.unwrap();
    let wanted = Wanted { total: 700_000, parallelism: 1, ..Wanted::default() };
    let evidence = reader(&fake).evidence(&subject().digest, &wanted).await;
    let read: Vec<bool> = referrers(&evidence)
        .iter()
        .map(|referrer| referrer.content.found().unwrap().layers[0].bytes.found().is_some())
        .collect();
    assert_eq!(read, [true, true, false]);

    let many =
        Artifact { layers: (0..300).map(|n| Blob::new(BUNDLE, format!("{n}"))).collect(), ..bundle(1, 1) };
    let fake = Fake::honest().await;
    attacher(&fake).attach(&subject(), &many).await.unwrap();
    let evidence = reader(&fake).evidence(&subject().digest, &Wanted::default()).await;
    let layers = &referrers(&evidence)[0].content.found().unwrap().layers;
    assert_eq!(layers.iter().filter(|layer| layer.bytes.found().is_some()).count(), 256);
    unknown(&layers[299].bytes, "more than 256 layers");

    let slow = Fake::start(|_| Reply::Silence).await;
    let wanted = Wanted { deadline: Duration::from_millis(50), ..Wanted::default() };
    let evidence = reader(&slow).evidence(&subject().digest, &wanted).await;
    unknown(&evidence.referrers, "within 0.1 s");
    unknown(&evidence.signatures, "within 0.1 s");
    unknown(&evidence.attestations, "within 0.1 s");
}

#[tokio::test]
async fn legacy_tags_are_read_in_the_same_round() {
    let fake = Fake::honest().await;
    let attacher = attacher(&fake);
    let layer = |n: usize| {
        let mut layer = Blob::new("application/vnd.dev.cosign.simplesigning.v1+json", "{}");
        layer.annotations.insert("dev.cosignproject.cosign/signature".into(), n.to_string());
        layer
    };
    let digest = subject().digest;
    attacher.attach_legacy(&digest, LegacyTag::Signatures, &[layer(1), layer(2)]).await.unwrap();
    let before = fake.log().len();
    let evidence = read(&fake).await;
    let signatures = evidence.signatures.found().unwrap();
    assert_eq!(signatures.layers.len(), 2);
    assert!(signatures.layers.iter().all(|layer| layer.bytes == Lookup::Found("{}".into())));
    assert_eq!(evidence.attestations, Lookup::Absent);
    let blobs = fake.log()[before..].iter().filter(|seen| seen.path.contains("/blobs/")).count();
    assert_eq!(blobs, 1, "one payload, two signatures");
    let without = Wanted { legacy: false, ..Wanted::default() };
    assert_eq!(reader(&fake).evidence(&digest, &without).await.signatures, Lookup::Absent);

    // An index, a page, an error in the manifest's place.
    let tag = LegacyTag::Attestations.of(&digest);
    let index: Bytes = Index::oci(vec![]).to_bytes().into();
    fake.state(|state| state.tag(&tag, media_type::OCI_INDEX, index));
    invalid(&read(&fake).await.attestations, media_type::OCI_MANIFEST);
    for status in [200, 404, 429, 500] {
        let fake = Fake::start(move |seen| match seen.path.ends_with(".att") {
            true => html(status),
            false => Reply::Honest,
        })
        .await;
        let evidence = read(&fake).await;
        assert!(matches!(evidence.attestations, Lookup::Unknown(_)), "{status}");
        assert_eq!(evidence.referrers, Lookup::Found(vec![]));
    }
}

#[tokio::test]
async fn a_blob_is_read_into_memory_within_bounds() {
    let fake = Fake::honest().await;
    let bytes = noise(300_000, 1);
    let blob = Descriptor::of("x", &bytes);
    fake.state(|state| state.blobs.insert(blob.digest.to_string(), bytes.clone().into()));
    let reader = reader(&fake);
    assert_eq!(reader.read_blob(&blob, 300_000).await, Lookup::Found(bytes.into()));
    let before = fake.log().len();
    unknown(&reader.read_blob(&blob, 299_999).await, "at most 299999 bytes");
    assert_eq!(fake.log().len(), before);
    assert_eq!(reader.read_blob(&Descriptor::of("x", b"none"), 10).await, Lookup::Absent);
    let nothing = Descriptor::of("x", b"");
    fake.state(|state| state.blobs.insert(nothing.digest.to_string(), Bytes::new()));
    assert_eq!(reader.read_blob(&nothing, 10).await, Lookup::Found(Bytes::new()));
    let page = Fake::start(|_| html(200)).await;
    let reader = Reader::new(page.repository(), options()).unwrap();
    assert!(!matches!(reader.read_blob(&blob, 300_000).await, Lookup::Absent | Lookup::Found(_)));
}
