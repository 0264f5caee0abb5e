//! What comes out when everything is as it should be.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plimsoll_testkit::sigstore::{Lie, Log, Sigstore};
use serde_json::Value;

use super::{WORKFLOW, accepted, image, keyless, options, sign, token};

#[tokio::test]
async fn one_certificate_signs_many_statements() {
    let sigstore = Sigstore::start();
    for log in [Log::V1, Log::V2] {
        let (fulcio, before) = (sigstore.fulcio().faults(), sigstore.entries(log));
        fulcio.forget_requests();
        let bundles = sign(&sigstore, log, 7).await.unwrap();
        assert_eq!(bundles.len(), 7);
        assert_eq!(fulcio.count("POST", "/api/v2/signingCert"), 1);
        assert_eq!(sigstore.entries(log), before + 7);
        let mut certificates = HashSet::new();
        for (number, bundle) in bundles.iter().enumerate() {
            assert!(accepted(&sigstore, bundle.json(), &image(number)));
            assert!(!accepted(&sigstore, bundle.json(), &image(number + 1)));
            let bundle: Value = serde_json::from_str(bundle.json()).unwrap();
            let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
            let payload: Value = serde_json::from_slice(&STANDARD.decode(payload).unwrap()).unwrap();
            assert_eq!(payload["subject"][0]["digest"]["sha256"], format!("{number:064x}"));
            let material = &bundle["verificationMaterial"];
            certificates.insert(material["certificate"]["rawBytes"].as_str().unwrap().to_owned());
            let entries = material["tlogEntries"].as_array().unwrap();
            assert_eq!(entries.len(), 1);
            let stamps = material["timestampVerificationData"]["rfc3161Timestamps"].as_array().unwrap();
            // Rekor v2 has no time of its own.
            assert_eq!(stamps.len(), usize::from(log == Log::V2));
            assert_eq!(entries[0].get("integratedTime").is_some(), log == Log::V1);
        }
        assert_eq!(certificates.len(), 1);
    }
}

#[tokio::test]
async fn the_certificate_says_for_whom_and_how_long() {
    let sigstore = Sigstore::start();
    let keyless = keyless(&sigstore, Log::V1, options());
    let certified = keyless.certify(&token(&sigstore)).await.unwrap();
    assert_eq!(certified.identity().subject, WORKFLOW);
    assert_eq!(certified.identity().issuer, sigstore.issuer().url());
    let left = certified.expires().as_second() - jiff::Timestamp::now().as_second();
    assert!((590..=600).contains(&left), "{left}");
    assert_eq!(certified.sign(&[]).await.unwrap().len(), 0);
}

/// No verifier accepts an entry from the future, and of two clocks one is ahead.
#[tokio::test]
async fn a_log_whose_clock_is_a_little_fast_is_waited_for() {
    let sigstore = Sigstore::start();
    sigstore.lie(Lie::EarlyEntry);
    let bundles = sign(&sigstore, Log::V1, 1).await.unwrap();
    assert!(accepted(&sigstore, bundles[0].json(), &image(0)));
}
