//! Bundles, envelopes, statements, the older scheme, keys.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jiff::Timestamp;
use plimsoll_evidence_trust::{
    Clock, Envelope, Evidence, Outcome, PrivateKey, PublicKey, Root, Signer as _, Statement, Trust,
    TrustedIdentity, TrustedKey, Verification, predicate, sign, sign_legacy, verify,
};
use plimsoll_model::{Digest, Secret};
use serde_json::{Value, json};

use super::{files, way};

/// What all seeds are about.
const IMAGE: Digest = Digest::from_sha256([7; 32]);
/// The only predicate that was ever signed about it.
const SIGNED: [&str; 2] = [r#"{"spdxVersion":"SPDX-2.3"}"#, "{}"];
/// Made for these seeds, and used nowhere else.
const KEY: &str = include_str!("../../seeds/pem/ed25519");
const ROOT: &str = include_str!("../../seeds/trusted_root.json");

fn key() -> PrivateKey {
    PrivateKey::from_pem(KEY, None).expect("the key among the seeds is one")
}

fn trust() -> &'static Trust {
    static TRUST: OnceLock<Trust> = OnceLock::new();
    TRUST.get_or_init(|| {
        let root: Value = serde_json::from_str(ROOT).expect("the root among the seeds is JSON");
        let issuer = root["issuer"].as_str().expect("it names the issuer beside").to_owned();
        let root = Root::from_json(&root["root"].to_string()).expect("the root among the seeds is one");
        Trust {
            keys: vec![TrustedKey::new(key().public_key().clone())],
            identities: vec![TrustedIdentity {
                issuer,
                subject: "https://github.com/acme/*".into(),
                roles: None,
            }],
            root: Some(root),
            require_log: false,
        }
    })
}

fn judge(evidence: Evidence<'_>) -> Verification {
    let now = Timestamp::from_second(4_000_000_000).expect("that is in range");
    let verification = verify(evidence, &IMAGE, trust(), Clock { now, known_since: None });
    if let Outcome::Verified(verified) = &verification.outcome {
        assert!(SIGNED.contains(&verified.predicate.get()), "nobody signed {}", verified.predicate);
        let known = [predicate::SPDX, predicate::SIGNATURE];
        assert!(
            known.contains(&verified.predicate_type.as_str()),
            "nobody signed {}",
            verified.predicate_type
        );
    }
    verification
}

fn way_of(verification: &Verification) -> u64 {
    let last = verification.steps.last().map_or("", |step| step.name);
    let detail = verification.steps.last().map_or("", |step| step.detail.as_str());
    way(&format!("{last} {detail}"))
}

pub(super) fn bundle(input: &[u8]) -> u64 {
    way_of(&judge(Evidence::Bundle(input)))
}

/// By key, made now: Ed25519 signs the same each time. By identity, from files.
pub(super) fn bundles(name: &str) -> Vec<Vec<u8>> {
    let made = statements_of_seeds().into_iter().map(|statement| {
        sign(&statement, &key()).expect("the key among the seeds signs").json().as_bytes().to_vec()
    });
    made.chain(files(name)).collect()
}

fn statements_of_seeds() -> [Statement; 2] {
    let document = json!({"spdxVersion": "SPDX-2.3"});
    let sbom = Statement::of(&IMAGE, Some("registry.example.com/a"), predicate::SPDX, &document);
    [Statement::signature(&IMAGE), sbom.expect("a document is JSON")]
}

pub(super) fn statement(input: &[u8]) -> u64 {
    let statement = Envelope::parse(input).and_then(|envelope| {
        assert_eq!(Envelope::parse(envelope.to_json().as_bytes()).as_ref(), Ok(&envelope));
        Statement::parse(&envelope.payload)
    });
    let statement = statement.or_else(|_| Statement::parse(input));
    way(&match statement {
        Ok(statement) => {
            let again = Statement::parse(&statement.payload()).expect("what is written is read");
            assert_eq!(again.subjects, statement.subjects);
            format!("{} {}", statement.is_about(&IMAGE), statement.described_subject().len())
        }
        Err(why) => why,
    })
}

pub(super) fn statements(_: &str) -> Vec<Vec<u8>> {
    let statements = statements_of_seeds();
    let bundle = sign(&statements[1], &key()).expect("the key among the seeds signs");
    let bundle: Value = serde_json::from_str(bundle.json()).expect("a bundle is JSON");
    let envelope = bundle["dsseEnvelope"].to_string().into_bytes();
    statements.iter().map(Statement::payload).chain([envelope]).collect()
}

/// A document with `payload` and `annotations`, taken for both kinds of layer.
pub(super) fn legacy(input: &[u8]) -> u64 {
    let Ok(document) = serde_json::from_slice::<Value>(input) else { return 0 };
    let payload = match &document["payload"] {
        Value::String(text) => text.clone().into_bytes(),
        other => other.to_string().into_bytes(),
    };
    let annotations = document["annotations"].as_object().into_iter().flatten();
    let annotations: BTreeMap<String, String> = annotations
        .map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), Into::into)))
        .collect();
    let annotations = &annotations;
    let signature = judge(Evidence::LegacySignature { payload: &payload, annotations });
    let attestation = judge(Evidence::LegacyAttestation { envelope: &payload, annotations });
    way_of(&signature) ^ way_of(&attestation).rotate_left(1)
}

pub(super) fn legacies(name: &str) -> Vec<Vec<u8>> {
    let repository = "registry.example.com/a".parse().expect("that is a repository");
    let signed = sign_legacy(&repository, &IMAGE, &key()).expect("the key among the seeds signs");
    let payload = String::from_utf8_lossy(&signed.payload).into_owned();
    let made = json!({"payload": payload, "annotations": signed.annotations}).to_string().into_bytes();
    std::iter::once(made).chain(files(name)).collect()
}

pub(super) fn cosign_key(input: &[u8]) -> u64 {
    pem_with(input, Some(&Secret::new("password")))
}

pub(super) fn pem(input: &[u8]) -> u64 {
    pem_with(input, None)
}

fn pem_with(input: &[u8], password: Option<&Secret>) -> u64 {
    let text = String::from_utf8_lossy(input);
    let private = PrivateKey::from_pem(&text, password);
    if let Ok(key) = &private {
        let signature = key.sign(b"message").expect("a key that was read signs");
        assert!(key.public_key().verifies(b"message", &signature));
    }
    let public = PublicKey::from_pem(&text);
    if let Ok(key) = &public {
        assert_eq!(PublicKey::from_pem(&key.to_pem()).ok().as_ref(), Some(key));
        let _ = key.verifies(b"message", input);
    }
    let words = |error: Option<String>| error.unwrap_or_default();
    way(&words(private.err().map(|e| e.to_string())))
        ^ way(&words(public.err().map(|e| e.to_string()))).rotate_left(1)
}
