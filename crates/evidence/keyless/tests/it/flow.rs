//! What comes out when everything is as it should be.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use plimsoll_evidence_keyless::{Keyless, SigningConfig};
use plimsoll_evidence_trust::Statement;
use plimsoll_model::Diagnose as _;
use plimsoll_testkit::sigstore::{Lie, Log, Sigstore};
use serde_json::{Value, json};

use super::{WORKFLOW, accepted, image, keyless, options, sign, statements, token};

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
    let left = certified.expires().as_second() - Timestamp::now().as_second();
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

/// An SBOM has megabytes.
#[tokio::test]
async fn a_large_statement_is_signed_like_a_small_one() {
    let sigstore = Sigstore::start();
    let predicate = json!({"components": "x".repeat(5 << 20)});
    let statement = Statement::of(&image(0), None, "https://cyclonedx.org/bom", &predicate).unwrap();
    for log in [Log::V1, Log::V2] {
        let keyless = keyless(&sigstore, log, options());
        let bundles = keyless.sign(&token(&sigstore), std::slice::from_ref(&statement)).await.unwrap();
        assert_eq!(bundles[0].predicate_type(), "https://cyclonedx.org/bom");
        assert!(accepted(&sigstore, bundles[0].json(), &image(0)));
    }
}

#[tokio::test]
async fn as_many_times_are_taken_as_the_config_demands() {
    let sigstore = Sigstore::start();
    let mut config: Value = serde_json::from_str(&sigstore.signing_config(Log::V1)).unwrap();
    let authority = |operator: &str| {
        json!({
            "url": sigstore.tsa().url(),
            "majorApiVersion": 1,
            "validFor": {"start": "2026-01-01T00:00:00Z"},
            "operator": operator,
        })
    };
    config["tsaUrls"] = json!([authority("a.test"), authority("b.test"), authority("c.test")]);
    config["tsaConfig"] = json!({"selector": "EXACT", "count": 2});
    let config = SigningConfig::read(config.to_string().as_bytes(), "of the test").unwrap();
    let services = config.services(Timestamp::now()).unwrap();
    let keyless = Keyless::new(services, &sigstore.trusted_root(), options()).unwrap();
    let bundles = keyless.sign(&token(&sigstore), &statements(1)).await.unwrap();
    let bundle: Value = serde_json::from_str(bundles[0].json()).unwrap();
    let stamps = &bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"];
    assert_eq!(stamps.as_array().unwrap().len(), 2);
    assert!(accepted(&sigstore, bundles[0].json(), &image(0)));
}

#[tokio::test]
async fn a_statement_without_an_image_is_refused_before_anything_is_asked() {
    let sigstore = Sigstore::start();
    let mut statement = Statement::signature(&image(0));
    statement.subjects[0].digest.clear();
    let statements = [Statement::signature(&image(0)), statement];
    let keyless = keyless(&sigstore, Log::V1, options());
    let error = keyless.sign(&token(&sigstore), &statements).await.unwrap_err();
    assert_eq!(error.code(), "KLS-007");
    assert_eq!(sigstore.fulcio().faults().requests(), []);
    // Nor is another signed before it is found out.
    let certified = keyless.certify(&token(&sigstore)).await.unwrap();
    certified.sign(&statements).await.unwrap_err();
    assert_eq!(sigstore.rekor(Log::V1).faults().requests(), []);
}

/// Whoever signs may do it in a task of its own.
#[tokio::test]
async fn signing_can_be_spawned() {
    let sigstore = Sigstore::start();
    let (keyless, token) = (keyless(&sigstore, Log::V2, options()), token(&sigstore));
    let signing = tokio::spawn(async move { keyless.sign(&token, &statements(2)).await });
    assert_eq!(signing.await.unwrap().unwrap().len(), 2);
}
