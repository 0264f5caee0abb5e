//! How long it takes to verify one piece of evidence, without network or disk:
//! `cargo run --release -p plimsoll-fuzz --example verify_speed`.
#![allow(clippy::print_stdout, reason = "a measurement prints what it measured")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_evidence_trust::{
    Algorithm, Clock, Evidence, Outcome, PrivateKey, Root, Signer as _, Statement, Trust, TrustedIdentity,
    TrustedKey, predicate, sign, verify,
};
use plimsoll_model::Digest;
use serde_json::{Value, json};

/// What the bundles among the seeds are about.
const IMAGE: Digest = Digest::from_sha256([7; 32]);
const ROOT: &str = include_str!("../seeds/trusted_root.json");
const KEYLESS: [(&str, &str); 2] = [
    ("keyless, Rekor v1", include_str!("../seeds/bundle/keyless-v1")),
    ("keyless, Rekor v2 and timestamp", include_str!("../seeds/bundle/keyless-v2")),
];

/// The median of so many verifications.
fn measure(what: &str, bundle: &str, trust: &Trust, times: usize) {
    let clock = Clock { now: Timestamp::now(), known_since: None };
    let mut took: Vec<Duration> = (0..times)
        .map(|_| {
            let began = Instant::now();
            let verification = black_box(verify(Evidence::Bundle(bundle.as_bytes()), &IMAGE, trust, clock));
            let took = began.elapsed();
            assert!(matches!(verification.outcome, Outcome::Verified(_)), "{what}: {verification:?}");
            took
        })
        .collect();
    took.sort();
    println!("{what:44} {:>10.3?} median, {:>10.3?} best, {} bytes", took[times / 2], took[0], bundle.len());
}

fn main() {
    for algorithm in [Algorithm::EcdsaP256, Algorithm::EcdsaP384, Algorithm::Ed25519] {
        let key = PrivateKey::generate(algorithm).expect("the system gives random bytes");
        let trust = Trust { keys: vec![TrustedKey::new(key.public_key().clone())], ..Trust::default() };
        let signature = sign(&Statement::signature(&IMAGE), &key).expect("the key signs");
        measure(&format!("by key, {algorithm}"), signature.json(), &trust, 1001);
        if algorithm == Algorithm::EcdsaP256 {
            let components = vec![json!({"name": "left-pad", "version": "1.0.0", "licence": "MIT"}); 200_000];
            let sbom = Statement::of(&IMAGE, None, predicate::CYCLONEDX, &json!({"components": components}));
            let sbom = sign(&sbom.expect("a document is JSON"), &key).expect("the key signs");
            measure("by key, SBOM of 10 MB", sbom.json(), &trust, 21);
        }
    }
    let root: Value = serde_json::from_str(ROOT).expect("the root among the seeds is JSON");
    let issuer = root["issuer"].as_str().expect("it names the issuer beside").to_owned();
    let identity = TrustedIdentity { issuer, subject: "*".into(), roles: None };
    let began = Instant::now();
    let root = Root::from_json(&root["root"].to_string()).expect("the root among the seeds is one");
    println!("{:44} {:>10.3?}", "reading a trusted root, once", began.elapsed());
    let trust = Trust { identities: vec![identity], root: Some(root), ..Trust::default() };
    for (what, bundle) in KEYLESS {
        measure(what, bundle, &trust, 301);
    }
}
