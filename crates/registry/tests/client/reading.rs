//! Look-ups: found, absent, invalid, unknown, whatever the other side does.

use std::time::Duration;

use bytes::Bytes;
use plimsoll_model::Lookup;
use plimsoll_oci::{Descriptor, Index, media_type};
use plimsoll_registry::client::{Options, Policy, Reader, Timeouts};
use plimsoll_registry::error::Code;

use super::fake::{Fake, MANIFEST, Reply, Seen, error, html, say};
use super::image::{noise, options, sha, small};

fn reader(fake: &Fake) -> Reader {
    Reader::new(fake.repository(), options()).unwrap()
}

/// A registry with the small image at the full tag, and what the tag looks like
/// through `script`.
async fn seen_through(
    script: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
) -> (Fake, Lookup<plimsoll_model::Digest>) {
    let fake = Fake::start(script).await;
    fake.state(|state| state.tag(sha().as_str(), MANIFEST, small().bytes()));
    let found = reader(&fake).resolve_tag(sha().as_str()).await.map(|at| at.digest());
    (fake, found)
}

fn unknown<T: std::fmt::Debug>(lookup: &Lookup<T>, says: &str) {
    assert!(matches!(lookup, Lookup::Unknown(why) if why.contains(says)), "{says}: {lookup:?}");
}

fn invalid<T: std::fmt::Debug>(lookup: &Lookup<T>, says: &str) {
    assert!(matches!(lookup, Lookup::Invalid(why) if why.contains(says)), "{says}: {lookup:?}");
}

#[tokio::test]
async fn dig_3_the_digest_is_that_of_the_bytes_and_a_lying_header_is_invalid() {
    let (_, found) = seen_through(|_| Reply::Honest).await;
    assert_eq!(found, Lookup::Found(small().descriptor.digest));
    let (_, found) =
        seen_through(|_| Reply::HonestWith("docker-content-digest", format!("sha256:{}", "0".repeat(64))))
            .await;
    invalid(&found, "header");
    // A header of another algorithm says nothing that could be compared.
    let (_, found) =
        seen_through(|_| Reply::HonestWith("docker-content-digest", format!("sha512:{}", "0".repeat(128))))
            .await;
    assert!(found.found().is_some());
}

#[tokio::test]
async fn absent_needs_a_registry_to_say_so() {
    for code in [Code::ManifestUnknown, Code::NameUnknown] {
        let (_, found) = seen_through(move |_| error(code)).await;
        assert_eq!(found, Lookup::Absent, "{code}");
    }
    // An error body of the protocol with a code of the registry's own.
    let (_, found) = seen_through(|_| say(404, r#"{"errors":[{"code":"NOT_FOUND","message":"no"}]}"#)).await;
    assert_eq!(found, Lookup::Absent);
    // An empty 404, and `/v2/` answers as a registry does.
    let (_, found) =
        seen_through(|seen| if seen.path == "/v2/" { Reply::Honest } else { say(404, "") }).await;
    assert_eq!(found, Lookup::Absent);
    // An empty 404, also for `/v2/`: perhaps a load balancer without a backend.
    let (_, found) = seen_through(|_| say(404, "")).await;
    unknown(&found, "registry");
    let (_, found) = seen_through(|seen| if seen.path == "/v2/" { html(200) } else { say(404, "") }).await;
    unknown(&found, "registry");
}

#[tokio::test]
async fn a_web_page_is_unknown_whatever_its_status() {
    for status in [200, 404, 418, 302] {
        let (_, found) = seen_through(move |_| html(status)).await;
        assert!(matches!(found, Lookup::Unknown(_)), "{status}: {found:?}");
    }
    for nonsense in ["", "{}", "null", "hello", "404 page not found"] {
        let (_, found) = seen_through(move |_| say(200, nonsense)).await;
        assert!(matches!(found, Lookup::Unknown(_)), "{nonsense}: {found:?}");
    }
    // What is announced as a manifest and is none is worse than nonsense.
    let (_, found) = seen_through(|_| {
        Reply::Say(200, vec![("content-type", MANIFEST.into())], Bytes::from_static(b"{\"schemaVersion\":2"))
    })
    .await;
    invalid(&found, MANIFEST);
}

#[tokio::test]
async fn a_media_type_that_contradicts_the_bytes_is_invalid() {
    let (_, found) = seen_through(|_| Reply::HonestWith("content-type", media_type::OCI_INDEX.into())).await;
    invalid(&found, "announced");
}

#[tokio::test]
async fn a_giant_manifest_is_bounded() {
    let giant = Bytes::from(vec![b' '; 20 << 20]);
    let (_, found) =
        seen_through(move |_| Reply::Say(200, vec![("content-type", MANIFEST.into())], giant.clone())).await;
    invalid(&found, "longer");
}

#[tokio::test]
async fn dig_3_another_manifest_than_the_digest_is_invalid() {
    let fake = Fake::honest().await;
    let (asked, given) = (small(), super::image::image(&[b"evil".to_vec()]));
    fake.state(|state| {
        state.manifests.insert(asked.descriptor.digest.to_string(), (MANIFEST.into(), given.bytes().into()))
    });
    let found = reader(&fake).manifest(&asked.descriptor.digest).await;
    invalid(&found, &given.descriptor.digest.to_string());
}

#[tokio::test]
async fn refusals_are_unknown_and_say_what_to_do() {
    for status in [401, 403] {
        let (_, found) = seen_through(move |_| say(status, "")).await;
        unknown(&found, "docker login 127.0.0.1");
    }
    let (_, found) =
        seen_through(|_| say(451, r#"{"errors":[{"code":"BLOCKED","message":"court order"}]}"#)).await;
    unknown(&found, "court order");
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_stays_is_unknown() {
    for status in [429, 500, 502, 503, 504] {
        let (fake, found) =
            seen_through(move |seen| if seen.nth < 2 { say(status, "") } else { Reply::Honest }).await;
        assert!(found.found().is_some(), "{status}");
        assert_eq!(fake.log().len(), 3);
        let (fake, found) = seen_through(move |_| say(status, "")).await;
        unknown(&found, &status.to_string());
        assert_eq!(fake.log().len(), 3);
    }
    let (_, found) = seen_through(|seen| if seen.nth < 2 { Reply::CutAfter(0) } else { Reply::Honest }).await;
    assert!(found.found().is_some());
    let (_, found) = seen_through(|_| Reply::CutAfter(0)).await;
    unknown(&found, "3 tries");
    // A body that ends before its length.
    let (_, found) =
        seen_through(|_| Reply::Broken(vec![("content-type", MANIFEST.into())], 500, "{".into())).await;
    unknown(&found, "3 tries");
}

#[tokio::test]
async fn nothing_that_listens_is_unknown() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap();
    drop(listener);
    let reader = Reader::new(format!("{host}/acme/payouts").parse().unwrap(), options()).unwrap();
    unknown(&reader.resolve_tag("x").await, "did not answer after 3 tries");
}

/// Time is simulated: waits of minutes take none.
#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_and_silence_ends() {
    let patient = Options { retry: Policy::default(), timeouts: Timeouts::default(), ..options() };
    let busy = |seconds: &'static str, times: usize| {
        move |seen: &Seen| match seen.nth < times {
            true => Reply::Say(429, vec![("retry-after", seconds.into())], Bytes::new()),
            false => Reply::Honest,
        }
    };
    for (script, least, most) in [(busy("40", 2), 80, 90), (busy("0", 2), 0, 2)] {
        let fake = Fake::start(script).await;
        fake.state(|state| state.tag("x", MANIFEST, small().bytes()));
        let began = tokio::time::Instant::now();
        let found = Reader::new(fake.repository(), patient.clone()).unwrap().resolve_tag("x").await;
        assert!(found.found().is_some(), "{found:?}");
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(least) && took <= Duration::from_secs(most), "{took:?}");
    }
    // Longer than anyone waits: given up at once, and told.
    let fake = Fake::start(busy("7200", 99)).await;
    let began = tokio::time::Instant::now();
    unknown(&Reader::new(fake.repository(), patient.clone()).unwrap().resolve_tag("x").await, "7200 s");
    assert!(began.elapsed() < Duration::from_secs(5));

    let silent = Fake::start(|_| Reply::Silence).await;
    unknown(
        &Reader::new(silent.repository(), patient.clone()).unwrap().resolve_tag("x").await,
        "nothing came",
    );
    let stalled = Fake::start(|_| Reply::Stall(100, "{".into())).await;
    unknown(&Reader::new(stalled.repository(), patient).unwrap().resolve_tag("x").await, "nothing came");
}

#[tokio::test]
async fn a_look_for_a_blob() {
    let fake = Fake::honest().await;
    let blob = Descriptor::of("x", b"bytes");
    assert_eq!(reader(&fake).head_blob(&blob).await, Lookup::Absent);
    fake.state(|state| state.blobs.insert(blob.digest.to_string(), Bytes::from_static(b"bytes")));
    assert_eq!(reader(&fake).head_blob(&blob).await, Lookup::Found(()));
    let longer = Descriptor { size: 7, ..blob };
    invalid(&reader(&fake).head_blob(&longer).await, "7 bytes");
    let page = Fake::start(|_| html(200)).await;
    assert!(matches!(reader(&page).head_blob(&longer).await, Lookup::Unknown(_)));
}

fn page(tags: &[String], next: Option<String>) -> Reply {
    let body = serde_json::json!({ "name": "acme/payouts", "tags": tags }).to_string();
    let link = next.map(|next| ("link", format!("<{next}>; rel=\"next\"")));
    Reply::Say(200, link.into_iter().collect(), body.into())
}

#[tokio::test]
async fn tags_are_read_page_by_page_within_bounds() {
    let fake = Fake::start(|seen| match seen.nth {
        0..3 => page(
            &[format!("a{}", seen.nth), format!("b{}", seen.nth)],
            Some(format!("/v2/acme/payouts/tags/list?last={}", seen.nth)),
        ),
        _ => page(&["end".into()], None),
    })
    .await;
    let found = reader(&fake).tags().await;
    assert_eq!(found, Lookup::Found(["a0", "b0", "a1", "b1", "a2", "b2", "end"].map(String::from).to_vec()));

    // The same page for ever; new tags for ever; a next page elsewhere.
    let same = Fake::start(|_| page(&["a".into()], Some("/v2/acme/payouts/tags/list?last=a".into()))).await;
    unknown(&reader(&same).tags().await, "without new ones");
    let endless = Fake::start(|seen| {
        let tags: Vec<String> = (0..1000).map(|n| format!("t{}-{n}", seen.nth)).collect();
        page(&tags, Some(format!("/v2/acme/payouts/tags/list?last={}", seen.nth)))
    })
    .await;
    unknown(&reader(&endless).tags().await, "more than 200000 tags");
    let elsewhere = Fake::start(|_| page(&["a".into()], Some("/v2/other/tags/list".into()))).await;
    unknown(&reader(&elsewhere).tags().await, "elsewhere");

    let none = Fake::start(|_| say(200, r#"{"name":"x","tags":null}"#)).await;
    assert_eq!(reader(&none).tags().await, Lookup::Found(vec![]));
    let absent = Fake::start(|_| error(Code::NameUnknown)).await;
    assert_eq!(reader(&absent).tags().await, Lookup::Absent);
    let page = Fake::start(|_| html(200)).await;
    assert!(matches!(reader(&page).tags().await, Lookup::Unknown(_)));
}

fn entries(count: usize) -> Vec<Descriptor> {
    (0..count).map(|n| Descriptor::of(MANIFEST, &noise(8, n as u64))).collect()
}

fn index(entries: &[Descriptor]) -> Bytes {
    Index::oci(entries.to_vec()).to_bytes().into()
}

#[tokio::test]
async fn referrers_come_from_the_api_in_pages_and_unfiltered() {
    let subject = small().descriptor.digest;
    let mut all = entries(4);
    all[1].artifact_type = Some("application/vnd.example.mislabelled".into());
    let (first, second) = (index(&all[..2]), index(&all[2..]));
    let fake = Fake::start(move |seen| {
        let kind = ("content-type", media_type::OCI_INDEX.to_owned());
        match seen.query.as_str() {
            "" => {
                let link = ("link", "<?page=2>; rel=\"next\"".to_owned());
                Reply::Say(200, vec![kind, link], first.clone())
            }
            _ => Reply::Say(200, vec![kind], second.clone()),
        }
    })
    .await;
    assert_eq!(reader(&fake).referrers(&subject).await, Lookup::Found(all));
}

#[tokio::test]
async fn referrers_fall_back_to_the_tag_after_a_404_and_after_nothing_else() {
    let subject = small().descriptor.digest;
    let tag = format!("sha256-{}", subject.hex());
    let fake = Fake::honest().await;
    assert_eq!(reader(&fake).referrers(&subject).await, Lookup::Found(vec![]));
    let all = entries(2);
    fake.state(|state| state.tag(&tag, media_type::OCI_INDEX, index(&all)));
    assert_eq!(reader(&fake).referrers(&subject).await, Lookup::Found(all));
    fake.state(|state| state.tag(&tag, MANIFEST, small().bytes()));
    invalid(&reader(&fake).referrers(&subject).await, "referrers");

    // The fallback tag is judged as strictly as any other.
    for status in [200, 401, 403, 429, 500] {
        let fake = Fake::start(move |seen| match seen.path.contains("/referrers/") {
            true => html(404),
            false => html(status),
        })
        .await;
        let found = reader(&fake).referrers(&subject).await;
        assert!(matches!(found, Lookup::Unknown(_)), "{status}: {found:?}");
    }
    for status in [200, 400, 401, 403, 405, 429, 500] {
        let fake = Fake::start(move |seen| match seen.path.contains("/referrers/") {
            true => html(status),
            false => Reply::Honest,
        })
        .await;
        let found = reader(&fake).referrers(&subject).await;
        assert!(matches!(found, Lookup::Unknown(_)), "{status}: {found:?}");
    }
    // Half a list is no list.
    let half = Fake::start(|seen| match seen.nth {
        0 => Reply::Say(200, vec![("link", "<?2>; rel=next".into())], index(&entries(1))),
        _ => error(Code::ManifestUnknown),
    })
    .await;
    assert!(matches!(reader(&half).referrers(&subject).await, Lookup::Unknown(_)));
}

#[test]
fn plain_http_is_for_loopback_alone() {
    // No switch turns TLS off: another host is spoken to in TLS or not at all.
    let reader = Reader::new("registry.example.com/acme/payouts".parse().unwrap(), options()).unwrap();
    assert!(format!("{reader:?}").contains("registry.example.com"));
}

#[tokio::test]
async fn text_from_the_other_side_cannot_drive_a_terminal() {
    let evil = "{\"errors\":[{\"code\":\"X\",\"message\":\"\\u001b[2J\\u001b]0;pwned\\u0007 \"}]}";
    let (_, found) = seen_through(move |_| say(418, evil)).await;
    assert!(
        matches!(&found, Lookup::Unknown(why) if !why.contains('\u{1b}') && why.contains("pwned")),
        "{found:?}"
    );
}
