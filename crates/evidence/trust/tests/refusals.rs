//! Each way in which a signature by key can be wrong is refused with its own
//! reason; and whatever is changed, nothing verifies.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use plimsoll_evidence_trust::{
    Algorithm, Clock, Envelope, Evidence, Outcome, PrivateKey, Role, Signer as _, Statement, Trust,
    TrustedKey, Verification, predicate, sign, sign_legacy, verify,
};
use plimsoll_model::Digest;
use serde_json::{Value, json};

const IMAGE: Digest = Digest::from_sha256([7; 32]);
const OTHER: Digest = Digest::from_sha256([8; 32]);
const CLOCK: Clock = Clock { now: Timestamp::UNIX_EPOCH, known_since: None };

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::EcdsaP256).unwrap()
}

fn trusting(key: &PrivateKey) -> Trust {
    Trust { keys: vec![TrustedKey::new(key.public_key().clone())], ..Trust::default() }
}

fn only(key: &PrivateKey, role: Role) -> Trust {
    let mut trust = trusting(key);
    trust.keys[0].roles = Some(BTreeSet::from([role]));
    trust
}

fn bundle(bytes: &[u8], trust: &Trust) -> Verification {
    verify(Evidence::Bundle(bytes), &IMAGE, trust, CLOCK)
}

fn sbom(image: &Digest) -> Statement {
    Statement::of(image, Some("registry.example.com/a"), predicate::SPDX, &json!({"spdxVersion": "SPDX-2.3"}))
        .unwrap()
}

/// The last step and the code, for comparing.
fn ended(verification: &Verification) -> (&'static str, &'static str) {
    let code = match &verification.outcome {
        Outcome::Verified(_) => "verified",
        Outcome::Foreign { .. } => "foreign",
        Outcome::Invalid { code, .. } | Outcome::Untrusted { code, .. } | Outcome::Unknown { code, .. } => {
            code
        }
    };
    (verification.steps.last().unwrap().name, code)
}

fn change(json: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value: Value = serde_json::from_str(json).unwrap();
    change(&mut value);
    serde_json::to_vec(&value).unwrap()
}

/// The payload with some text replaced, under the signature of before.
fn payload(json: &str, from: &str, to: &str) -> Vec<u8> {
    change(json, |bundle| {
        let payload = &mut bundle["dsseEnvelope"]["payload"];
        let text = String::from_utf8(STANDARD.decode(payload.as_str().unwrap()).unwrap()).unwrap();
        assert!(text.contains(from));
        *payload = json!(STANDARD.encode(text.replace(from, to)));
    })
}

#[test]
fn a_good_bundle_says_what_by_whom_and_how_far_it_was_looked_at() {
    for algorithm in [Algorithm::EcdsaP256, Algorithm::EcdsaP384, Algorithm::Ed25519] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let signed = sign(&Statement::signature(&IMAGE), &key).unwrap();
        let verification = bundle(signed.json().as_bytes(), &trusting(&key));
        let Outcome::Verified(verified) = &verification.outcome else { panic!("{verification:?}") };
        assert_eq!(verified.role, Role::Signature);
        assert_eq!(verified.by.to_string(), format!("key {}", key.public_key().fingerprint()));
        let numbers: Vec<u8> = verification.steps.iter().map(|step| step.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }
}

#[test]
fn each_wrong_is_refused_with_its_own_reason() {
    let (key, stranger) = (key(), key());
    let good = sign(&sbom(&IMAGE), &key).unwrap();
    let good = good.json();
    let trust = trusting(&key);
    let signature = |bytes: Vec<u8>| {
        change(good, |bundle| bundle["dsseEnvelope"]["signatures"][0]["sig"] = json!(STANDARD.encode(bytes)))
    };
    let of_another = sign(&sbom(&OTHER), &key).unwrap();
    let by_stranger = sign(&sbom(&IMAGE), &stranger).unwrap();
    let claiming =
        by_stranger.json().replace(&stranger.public_key().fingerprint(), &key.public_key().fingerprint());
    let hex = IMAGE.hex();
    let cases: Vec<(&str, Vec<u8>, &str, &str)> = vec![
        ("as signed", good.as_bytes().to_vec(), "role", "verified"),
        ("payload changed", payload(good, "SPDX-2.3", "SPDX-2.2"), "signature", "SIG-102"),
        (
            "predicate type changed",
            payload(good, predicate::SPDX, predicate::SIGNATURE),
            "signature",
            "SIG-102",
        ),
        ("subject changed", payload(good, &hex, &OTHER.hex()), "subject", "foreign"),
        ("signature changed", signature(vec![0; 70]), "signature", "SIG-102"),
        ("signature empty", signature(Vec::new()), "signature", "SIG-102"),
        ("sbom of another image", of_another.json().as_bytes().to_vec(), "subject", "foreign"),
        ("another key", by_stranger.json().as_bytes().to_vec(), "signer", "SIG-103"),
        ("another key that claims to be ours", claiming.into_bytes(), "signature", "SIG-102"),
        (
            "payload type changed",
            change(good, |b| b["dsseEnvelope"]["payloadType"] = json!("x")),
            "statement",
            "SIG-113",
        ),
        (
            "no envelope",
            change(good, |b| drop(b.as_object_mut().unwrap().remove("dsseEnvelope"))),
            "read",
            "SIG-101",
        ),
        ("two contents", change(good, |b| b["messageSignature"] = json!({})), "read", "SIG-101"),
        ("no key", change(good, |b| b["verificationMaterial"] = json!({})), "read", "SIG-101"),
        (
            "key and certificate",
            change(good, |b| b["verificationMaterial"]["certificate"] = json!({"rawBytes": ""})),
            "read",
            "SIG-101",
        ),
        (
            "unknown version",
            change(good, |b| b["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v9+json")),
            "read",
            "SIG-101",
        ),
        ("no signatures", change(good, |b| b["dsseEnvelope"]["signatures"] = json!([])), "read", "SIG-101"),
        (
            "two signatures",
            change(good, |b| {
                let signatures = b["dsseEnvelope"]["signatures"].as_array_mut().unwrap();
                signatures.push(signatures[0].clone());
            }),
            "read",
            "SIG-101",
        ),
        ("no bundle", b"[]".to_vec(), "read", "SIG-101"),
        ("nothing", Vec::new(), "read", "SIG-101"),
    ];
    for (what, bytes, step, code) in cases {
        let verification = bundle(&bytes, &trust);
        assert_eq!(ended(&verification), (step, code), "{what}: {:?}", verification.outcome);
    }
    // Nobody is trusted; a signature by an identity needs a root.
    assert_eq!(ended(&bundle(good.as_bytes(), &Trust::default())), ("signer", "SIG-103"));
    let keyless = change(good, |b| b["verificationMaterial"] = json!({"certificate": {"rawBytes": ""}}));
    assert_eq!(ended(&bundle(&keyless, &trust)), ("signer", "SIG-112"));
}

/// An image signature must be a signature, an SBOM an SBOM, by whom is trusted
/// for that.
#[test]
fn a_key_speaks_only_for_its_roles() {
    let key = key();
    let signature = sign(&Statement::signature(&IMAGE), &key).unwrap();
    let sbom = sign(&sbom(&IMAGE), &key).unwrap();
    for (trust, signature_code, sbom_code) in [
        (only(&key, Role::Sbom), "SIG-104", "verified"),
        (only(&key, Role::Signature), "verified", "SIG-104"),
    ] {
        assert_eq!(ended(&bundle(signature.json().as_bytes(), &trust)), ("role", signature_code));
        assert_eq!(ended(&bundle(sbom.json().as_bytes(), &trust)), ("role", sbom_code));
    }
    // An SBOM by a key trusted for everything is an SBOM all the same.
    let Outcome::Verified(verified) = bundle(sbom.json().as_bytes(), &trusting(&key)).outcome else {
        panic!("it is good")
    };
    assert_eq!(verified.role, Role::Sbom);
}

/// Rotation: an old key stays good for what it signed while it was one.
#[test]
fn a_key_that_was_replaced_signs_nothing_new() {
    let key = key();
    let signed = sign(&Statement::signature(&IMAGE), &key).unwrap();
    let day = |text: &str| -> Timestamp { format!("{text}T00:00:00Z").parse().unwrap() };
    let mut trust = trusting(&key);
    trust.keys[0].not_before = Some(day("2026-01-01"));
    trust.keys[0].not_after = Some(day("2026-06-01"));
    for (now, known_since, code) in [
        ("2026-03-01", None, "verified"),
        ("2026-09-01", None, "SIG-110"),
        ("2026-09-01", Some("2026-03-01"), "verified"),
        ("2026-09-01", Some("2026-07-01"), "SIG-110"),
        ("2025-12-01", None, "SIG-110"),
        // An image that is older than the key can have been signed again.
        ("2026-03-01", Some("2025-12-01"), "verified"),
    ] {
        let clock = Clock { now: day(now), known_since: known_since.map(day) };
        let verification = verify(Evidence::Bundle(signed.json().as_bytes()), &IMAGE, &trust, clock);
        assert_eq!(ended(&verification).1, code, "{now} {known_since:?}");
    }
    let mut logged = trusting(&key);
    logged.require_log = true;
    assert_eq!(ended(&bundle(signed.json().as_bytes(), &logged)), ("log", "SIG-111"));
}

/// What any of a key's entries allows at that time counts, in whatever order.
#[test]
fn a_key_that_is_trusted_twice_speaks_for_both() {
    let key = key();
    let entry = |role, not_after: Option<&str>| TrustedKey {
        roles: Some(BTreeSet::from([role])),
        not_after: not_after.map(|text| text.parse().unwrap()),
        ..TrustedKey::new(key.public_key().clone())
    };
    let old = "1969-01-01T00:00:00Z";
    let entries = [entry(Role::Sbom, None), entry(Role::Signature, Some(old)), entry(Role::Vex, Some(old))];
    let signature = sign(&Statement::signature(&IMAGE), &key).unwrap();
    let sbom = sign(&sbom(&IMAGE), &key).unwrap();
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
        let keys = order.map(|index: usize| entries[index].clone()).to_vec();
        let trust = Trust { keys, ..Trust::default() };
        assert_eq!(ended(&bundle(sbom.json().as_bytes(), &trust)), ("role", "verified"));
        assert_eq!(ended(&bundle(signature.json().as_bytes(), &trust)), ("role", "SIG-104"));
    }
    let trust = Trust { keys: entries[1..].to_vec(), ..Trust::default() };
    assert_eq!(ended(&bundle(signature.json().as_bytes(), &trust)), ("time", "SIG-110"));
}

#[test]
fn the_older_scheme_is_held_to_the_same() {
    let (key, stranger) = (key(), key());
    let repository = "registry.example.com/acme/payouts".parse().unwrap();
    let signature = |image: &Digest, key: &PrivateKey| sign_legacy(&repository, image, key).unwrap();
    let check = |payload: &[u8], annotations: &BTreeMap<String, String>| {
        let evidence = Evidence::LegacySignature { payload, annotations };
        let verification = verify(evidence, &IMAGE, &trusting(&key), CLOCK);
        ended(&verification)
    };
    let good = signature(&IMAGE, &key);
    assert_eq!(check(&good.payload, &good.annotations), ("role", "verified"));
    let of_another = signature(&OTHER, &key);
    assert_eq!(check(&of_another.payload, &of_another.annotations), ("subject", "foreign"));
    // The right signature put on another image's payload, and the other way round.
    assert_eq!(check(&good.payload, &of_another.annotations), ("signer", "SIG-103"));
    let by_stranger = signature(&IMAGE, &stranger);
    assert_eq!(check(&by_stranger.payload, &by_stranger.annotations), ("signer", "SIG-103"));
    assert_eq!(check(&good.payload, &BTreeMap::new()), ("signature", "SIG-101"));
    let other_kind =
        String::from_utf8(good.payload.clone()).unwrap().replace("cosign container", "atomic container");
    assert_eq!(check(other_kind.as_bytes(), &good.annotations), ("statement", "SIG-113"));

    let envelope = |statement: &Statement, key: &PrivateKey| {
        let bundle: Value = serde_json::from_str(sign(statement, key).unwrap().json()).unwrap();
        serde_json::to_vec(&bundle["dsseEnvelope"]).unwrap()
    };
    let none = BTreeMap::from([("dev.cosignproject.cosign/signature".to_owned(), String::new())]);
    let attested = |bytes: &[u8], trust: &Trust| {
        let evidence = Evidence::LegacyAttestation { envelope: bytes, annotations: &none };
        ended(&verify(evidence, &IMAGE, trust, CLOCK))
    };
    let good = envelope(&sbom(&IMAGE), &key);
    assert_eq!(attested(&good, &trusting(&key)), ("role", "verified"));
    assert_eq!(attested(&good, &only(&key, Role::Provenance)), ("role", "SIG-104"));
    assert_eq!(attested(&envelope(&sbom(&OTHER), &key), &trusting(&key)), ("subject", "foreign"));
    assert_eq!(attested(&envelope(&sbom(&IMAGE), &stranger), &trusting(&key)), ("signer", "SIG-103"));
    let parsed = Envelope::parse(&good).unwrap();
    let several = Envelope {
        signatures: [envelope(&sbom(&OTHER), &stranger), good]
            .iter()
            .flat_map(|bytes| Envelope::parse(bytes).unwrap().signatures)
            .collect(),
        ..parsed
    };
    // One good signature among several is enough: DSSE allows it.
    assert_eq!(attested(several.to_json().as_bytes(), &trusting(&key)), ("role", "verified"));
}

/// Flip each byte of a good bundle: it never verifies as something else, and
/// nothing panics. Where it still verifies, the change says nothing: white
/// space, an unread key, a hint.
#[test]
fn no_changed_byte_changes_what_is_verified() {
    let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    let signed = sign(&sbom(&IMAGE), &key).unwrap();
    let trust = trusting(&key);
    let good = signed.json().as_bytes();
    let envelope = signed.json().find("dsseEnvelope").unwrap();
    let mut still = 0;
    for at in 0..good.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut bytes = good.to_vec();
            bytes[at] ^= flip;
            if let Outcome::Verified(verified) = bundle(&bytes, &trust).outcome {
                still += 1;
                assert_eq!(verified.predicate.get(), r#"{"spdxVersion":"SPDX-2.3"}"#);
                // Base64 of payload and signature: every character counts but
                // the unused bits of a last one.
                assert!(
                    at < envelope || good[at] == b'=' || good[at + 1] == b'=',
                    "byte {at} is not covered"
                );
            }
        }
    }
    assert!(still < good.len() / 4, "{still} changes went unnoticed");
}

/// Random JSON in the place of every part: no panic, nothing verified.
#[test]
fn hostile_bundles_are_refused() {
    let key = key();
    let trust = trusting(&key);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!(r#"{{"mediaType":"{}"}}"#, "a".repeat(1 << 20));
    let many = json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": ""}},
        "dsseEnvelope": {
            "payload": "",
            "payloadType": "application/vnd.in-toto+json",
            "signatures": vec![json!({"sig": ""}); 100_000],
        },
    })
    .to_string();
    for text in [deep, long, many, "{}".into(), "null".into(), "\"\u{0}\"".into()] {
        assert_eq!(ended(&bundle(text.as_bytes(), &trust)), ("read", "SIG-101"));
    }
    let mut random = fastrand::Rng::with_seed(7);
    let good = sign(&sbom(&IMAGE), &key).unwrap();
    for _ in 0..2000 {
        let mut bytes = good.json().as_bytes().to_vec();
        for _ in 0..random.usize(1..8) {
            let at = random.usize(0..bytes.len());
            match random.u8(0..3) {
                0 => bytes[at] = random.u8(..),
                1 => drop(bytes.drain(at..bytes.len().min(at + random.usize(1..40)))),
                _ => bytes.insert(at, random.u8(..)),
            }
            if bytes.is_empty() {
                break;
            }
        }
        if let Outcome::Verified(verified) = bundle(&bytes, &trust).outcome {
            assert_eq!(verified.predicate.get(), r#"{"spdxVersion":"SPDX-2.3"}"#);
        }
    }
}
