//! Each thing that goes wrong ends in its own error, without a bundle, and
//! says what is public.

use std::time::Duration;

use jiff::Timestamp;
use plimsoll_evidence_keyless::{
    AUDIENCE, Cause, Error, IdentityToken, Keyless, Options, Policy, Published, RekorVersion, Service,
    SigningConfig,
};
use plimsoll_model::{Class, Diagnose as _, Secret};
use plimsoll_testkit::registry::Fault;
use plimsoll_testkit::sigstore::{Claims, Endpoint, Lie, Log, Sigstore};

use super::{keyless, options, sign, statements, token};

#[tokio::test]
async fn each_lie_is_found_out() {
    let sigstore = Sigstore::start();
    let certificate = Published::Certificate;
    let entry = Published::Entries(1);
    let perhaps = Published::PerhapsEntries;
    let both = [Log::V1, Log::V2];
    let cases: [(Lie, &[Log], &str, Published); 17] = [
        (Lie::CertificateForAnotherKey, &both, "KLS-013", certificate),
        (Lie::ExpiredCertificate, &both, "KLS-014", certificate),
        (Lie::ExpiredChain, &both, "KLS-014", certificate),
        (Lie::UnknownAuthority, &both, "KLS-014", certificate),
        (Lie::WrongSct, &both, "KLS-015", certificate),
        (Lie::NoSct, &both, "KLS-015", certificate),
        (Lie::DetachedSct, &both, "KLS-015", certificate),
        (Lie::TimestampOverOtherBytes, &[Log::V2], "KLS-017", certificate),
        (Lie::LateTimestamp, &[Log::V2], "KLS-017", certificate),
        (Lie::OtherNonce, &[Log::V2], "KLS-017", certificate),
        (Lie::TimestampRefused, &[Log::V2], "KLS-011", certificate),
        (Lie::EntryForAnotherHash, &both, "KLS-016", entry),
        (Lie::NoInclusionProof, &both, "KLS-012", perhaps),
        (Lie::WrongInclusionProof, &both, "KLS-019", entry),
        (Lie::WrongCheckpoint, &both, "KLS-019", entry),
        (Lie::WrongEntryTimestamp, &[Log::V1], "KLS-019", entry),
        (Lie::LateEntry, &[Log::V1], "KLS-019", entry),
    ];
    for (lie, logs, code, published) in cases {
        for log in logs {
            let before = sigstore.entries(*log);
            sigstore.lie(lie);
            let error = sign(&sigstore, *log, 1).await.unwrap_err();
            sigstore.tell_the_truth();
            let shown = format!("{log:?} {lie:?}: {error}; {:?}; {:?}", error.found(), error.hint());
            assert_eq!(error.code(), code, "{shown}");
            assert_eq!(error.class(), Class::Outside, "{shown}");
            assert_eq!(error.published(), published, "{shown}");
            // What it says is public is what is.
            let logged = sigstore.entries(*log) - before;
            assert_eq!(logged, usize::from(published > certificate), "{shown}");
        }
    }
    // And honest again, all is well.
    sign(&sigstore, Log::V1, 1).await.unwrap();
    sign(&sigstore, Log::V2, 1).await.unwrap();
}

/// The services that signing with Rekor v2 needs, and what is public when each fails.
fn needed(sigstore: &Sigstore) -> [(Service, Endpoint, Published); 3] {
    [
        (Service::Fulcio, sigstore.fulcio().clone(), Published::PerhapsCertificate),
        (Service::Timestamps, sigstore.tsa().clone(), Published::Certificate),
        (Service::Rekor, sigstore.rekor(Log::V2).clone(), Published::PerhapsEntries),
    ]
}

fn service(error: &Error) -> Service {
    match error.cause() {
        Cause::Unreachable { at, .. }
        | Cause::Busy { at, .. }
        | Cause::Refused { at, .. }
        | Cause::Nonsense { at, .. } => at.service,
        cause => panic!("{cause:?}"),
    }
}

#[tokio::test]
async fn what_goes_wrong_on_the_way_names_the_service() {
    let sigstore = Sigstore::start();
    let status = |status| Fault::Status { status, retry_after: None };
    let cases = [
        (status(429), "KLS-010", 5),
        (status(500), "KLS-010", 5),
        (status(503), "KLS-010", 5),
        (Fault::Status { status: 429, retry_after: Some(3600) }, "KLS-010", 1),
        (status(403), "KLS-011", 1),
        (status(404), "KLS-011", 1),
        (status(302), "KLS-012", 1),
        (Fault::Html, "KLS-012", 1),
        (Fault::Body("{".into()), "KLS-012", 1),
        (Fault::Body("{}".into()), "KLS-012", 1),
        (Fault::Body(vec![b' '; 2 << 20].into()), "KLS-012", 1),
        (Fault::Truncate(10), "KLS-008", 5),
        (Fault::Reset, "KLS-008", 5),
    ];
    for (named, endpoint, published) in needed(&sigstore) {
        for (fault, code, tries) in &cases {
            // What truncates or replaces an answer: the entry is in the log, and a
            // second try is told so.
            let behind = matches!(fault, Fault::Truncate(_));
            if behind && named == Service::Rekor {
                continue;
            }
            let faults = endpoint.faults();
            faults.forget_requests();
            faults.on("*", "/").then(fault.clone());
            let error = sign(&sigstore, Log::V2, 1).await.unwrap_err();
            faults.clear();
            let shown = format!("{named} {fault:?}: {error} {:?}", error.found());
            assert_eq!(error.code(), *code, "{shown:.400}");
            assert_eq!(service(&error), named, "{shown:.400}");
            assert_eq!(faults.requests().len(), *tries, "{shown:.400}");
            assert!(error.to_string().contains(&endpoint.url()), "{shown:.400}");
            let refused = *code == "KLS-011";
            let expected = match published {
                Published::PerhapsEntries if refused => Published::Certificate,
                Published::PerhapsCertificate if refused => Published::Nothing,
                published => published,
            };
            assert_eq!(error.published(), expected, "{shown:.400}");
        }
    }
}

#[tokio::test]
async fn a_stall_ends() {
    let retry = Policy { attempts: 2, ..options().retry };
    let options = Options { request_timeout: Duration::from_millis(300), retry, ..options() };
    let stalled = |number: usize| {
        let options = options.clone();
        async move {
            let sigstore = Sigstore::start();
            let keyless = keyless(&sigstore, Log::V2, options);
            let (named, endpoint, _) = needed(&sigstore)[number].clone();
            endpoint.faults().on("POST", "/").then(Fault::Stall);
            let error = keyless.sign(&token(&sigstore), &statements(1)).await.unwrap_err();
            assert_eq!((error.code(), service(&error)), ("KLS-008", named), "{error}");
        }
    };
    tokio::join!(stalled(0), stalled(1), stalled(2));
}

#[tokio::test]
async fn an_echo_does_not_show_the_token() {
    let sigstore = Sigstore::start();
    let text = sigstore.token(&Claims::github("acme/payouts"));
    let token = IdentityToken::read(Secret::new(&text), "test", AUDIENCE, Timestamp::now()).unwrap();
    sigstore.fulcio().faults().on("POST", "/").then(Fault::Body(format!("<pre>{text}</pre>").into()));
    let error = keyless(&sigstore, Log::V1, options()).sign(&token, &statements(1)).await.unwrap_err();
    assert_eq!(error.code(), "KLS-012");
    let shown = format!("{error} {error:?} {:?}", error.found());
    let payload = text.split('.').nth(1).unwrap();
    assert!(!shown.contains(&payload[..20]), "{shown}");
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let sigstore = Sigstore::start();
    for (_, endpoint, _) in needed(&sigstore) {
        for fault in [Fault::Status { status: 503, retry_after: Some(0) }, Fault::Reset] {
            endpoint.faults().on("POST", "/").times(2).then(fault);
            assert_eq!(sign(&sigstore, Log::V2, 1).await.unwrap().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_lost_answer_of_the_log_is_made_up_for() {
    let sigstore = Sigstore::start();
    for log in [Log::V1, Log::V2] {
        let before = sigstore.entries(log);
        let faults = sigstore.rekor(log).faults();
        faults.on("POST", "/log/entries").times(1).then(Fault::LoseAnswer);
        assert_eq!(sign(&sigstore, log, 1).await.unwrap().len(), 1);
        match log {
            // It says where the entry is.
            Log::V1 => {
                assert_eq!(sigstore.entries(log), before + 1);
                assert_eq!(faults.count("GET", "/api/v1/log/entries/"), 1);
            }
            // It does not; another signature is another entry.
            Log::V2 => assert_eq!(sigstore.entries(log), before + 2),
        }
    }
}

#[tokio::test]
async fn of_several_statements_it_is_known_how_many_are_public() {
    let sigstore = Sigstore::start();
    let options = Options { parallelism: 1, ..options() };
    let keyless = keyless(&sigstore, Log::V1, options);
    let faults = sigstore.rekor(Log::V1).faults();
    faults.on("POST", "/log/entries").skip(2).then(Fault::Status { status: 400, retry_after: None });
    let error = keyless.sign(&token(&sigstore), &statements(5)).await.unwrap_err();
    assert_eq!((error.code(), error.published()), ("KLS-011", Published::Entries(2)));
    assert!(error.hint().unwrap().contains("2 entries"), "{:?}", error.hint());
    // None is begun after one has failed.
    assert_eq!(faults.count("POST", "/log/entries"), 3);
}

#[tokio::test]
async fn another_instance_stands_in_for_one_that_is_down() {
    let sigstore = Sigstore::start();
    let mut config: serde_json::Value = serde_json::from_str(&sigstore.signing_config(Log::V2)).unwrap();
    for services in ["caUrls", "rekorTlogUrls", "tsaUrls"] {
        let mut down = config[services][0].clone();
        // Nothing listens on the port of discard.
        down["url"] = "http://127.0.0.1:9".into();
        down["operator"] = "another.test".into();
        config[services].as_array_mut().unwrap().insert(0, down);
    }
    let config = SigningConfig::read(config.to_string().as_bytes(), "of the test").unwrap();
    let services = config.services(Timestamp::now()).unwrap();
    let keyless = Keyless::new(services, &sigstore.trusted_root(), options()).unwrap();
    assert_eq!(keyless.sign(&token(&sigstore), &statements(2)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_log_that_has_everything_already_is_not_believed_for_ever() {
    let sigstore = Sigstore::start();
    let faults = sigstore.rekor(Log::V2).faults();
    faults.on("POST", "/log/entries").then(Fault::Status { status: 409, retry_after: None });
    let error = sign(&sigstore, Log::V2, 1).await.unwrap_err();
    assert_eq!((error.code(), error.published()), ("KLS-019", Published::PerhapsEntries));
    assert_eq!(faults.count("POST", "/log/entries"), 3);
    // Of v1 it must say where.
    let faults = sigstore.rekor(Log::V1).faults();
    faults.on("POST", "/log/entries").then(Fault::Status { status: 409, retry_after: None });
    let error = sign(&sigstore, Log::V1, 1).await.unwrap_err();
    assert_eq!((error.code(), error.published()), ("KLS-012", Published::PerhapsEntries));
}

#[tokio::test]
async fn what_does_not_speak_tls_is_not_trusted_with_a_token() {
    let sigstore = Sigstore::start();
    let fulcio = format!("https://{}", sigstore.fulcio().host());
    let rekor = sigstore.rekor(Log::V1).url();
    let services = SigningConfig::endpoints(&fulcio, (&rekor, RekorVersion::V1), None).unwrap();
    let keyless = Keyless::new(services, &sigstore.trusted_root(), options()).unwrap();
    let error = keyless.sign(&token(&sigstore), &statements(1)).await.unwrap_err();
    assert_eq!((error.code(), error.published()), ("KLS-009", Published::Nothing));
    assert_eq!(sigstore.fulcio().faults().requests(), []);
}
