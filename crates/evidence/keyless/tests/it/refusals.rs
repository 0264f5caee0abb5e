//! Each way in which a signature by an identity can be wrong ends in its own
//! step with its own code; and whatever is changed, nothing verifies as what
//! it is not.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use plimsoll_evidence_trust::{
    Clock, Evidence, Outcome, Role, Root, Signer as _, Statement, StepOutcome, Trust, TrustedIdentity,
    TrustedKey, Verification, predicate, verify,
};
use plimsoll_model::Digest;
use plimsoll_testkit::sigstore::{Lie, Log, Sigstore};
use serde_json::{Value, json};

use super::careless::Careless;
use super::{WORKFLOW, image};

fn sbom(image: &Digest) -> Statement {
    let document = json!({"spdxVersion": "SPDX-2.3"});
    Statement::of(image, Some("registry.example.com/a"), predicate::SPDX, &document).unwrap()
}

fn identity(sigstore: &Sigstore) -> TrustedIdentity {
    TrustedIdentity { issuer: sigstore.issuer().url(), subject: WORKFLOW.into(), roles: None }
}

fn root(sigstore: &Sigstore) -> Option<Root> {
    Some(Root::from_json(&sigstore.trusted_root()).unwrap())
}

fn trust(sigstore: &Sigstore, identity: TrustedIdentity) -> Trust {
    Trust { identities: vec![identity], root: root(sigstore), ..Trust::default() }
}

fn check(bundle: &[u8], image: &Digest, trust: &Trust) -> Verification {
    let clock = Clock { now: Timestamp::now(), known_since: None };
    verify(Evidence::Bundle(bundle), image, trust, clock)
}

/// The last step and the code.
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

fn changed(bundle: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut bundle = bundle.clone();
    change(&mut bundle);
    bundle
}

/// The bundle with another value in the place of one.
fn with(bundle: &Value, pointer: &str, value: &Value) -> Value {
    changed(bundle, |bundle| *bundle.pointer_mut(pointer).unwrap() = value.clone())
}

/// The bundle with something from another one.
fn from(bundle: &Value, other: &Value, pointer: &str) -> Value {
    with(bundle, pointer, other.pointer(pointer).unwrap())
}

/// Base64 with one bit of what it holds changed.
fn bit(bundle: &Value, pointer: &str, at: impl FnOnce(usize) -> usize) -> Value {
    let mut bytes = STANDARD.decode(bundle.pointer(pointer).unwrap().as_str().unwrap()).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 1;
    with(bundle, pointer, &json!(STANDARD.encode(bytes)))
}

/// The payload with some text replaced.
fn payload(bundle: &Value, old: &str, new: &str) -> Value {
    let text = STANDARD.decode(bundle.pointer(PAYLOAD).unwrap().as_str().unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains(old));
    with(bundle, PAYLOAD, &json!(STANDARD.encode(text.replace(old, new))))
}

const PAYLOAD: &str = "/dsseEnvelope/payload";
const SIGNATURE: &str = "/dsseEnvelope/signatures/0/sig";
const CERTIFICATE: &str = "/verificationMaterial/certificate/rawBytes";
const ENTRY: &str = "/verificationMaterial/tlogEntries/0";
const BODY: &str = "/verificationMaterial/tlogEntries/0/canonicalizedBody";
const PROOF: &str = "/verificationMaterial/tlogEntries/0/inclusionProof";
const CHECKPOINT: &str = "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope";
const HASH: &str = "/verificationMaterial/tlogEntries/0/inclusionProof/hashes/0";
const PROMISE: &str = "/verificationMaterial/tlogEntries/0/inclusionPromise/signedEntryTimestamp";
const TIME: &str = "/verificationMaterial/tlogEntries/0/integratedTime";
const LOG_ID: &str = "/verificationMaterial/tlogEntries/0/logId/keyId";
const STAMPS: &str = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
const STAMP: &str = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";

type Case = (&'static str, Value, &'static str, &'static str);

/// A bundle made while one lie is told.
async fn lied(sigstore: &Sigstore, log: Log, lie: Lie) -> Value {
    sigstore.lie(lie);
    let bundle = Careless::new(sigstore, log).sign(&sbom(&image(0))).await;
    sigstore.tell_the_truth();
    bundle
}

#[tokio::test]
async fn each_wrong_ends_in_its_own_step() {
    let (sigstore, stranger) = (Sigstore::start(), Sigstore::start());
    let trust = trust(&sigstore, identity(&sigstore));
    for log in [Log::V1, Log::V2] {
        let signer = Careless::new(&sigstore, log);
        let good = signer.sign(&sbom(&image(0))).await;
        let again = Careless::new(&sigstore, log).sign(&sbom(&image(0))).await;
        let of_another = signer.sign(&sbom(&image(1))).await;
        let elsewhere = Careless::new(&stranger, log).sign(&sbom(&image(0))).await;
        // Who loses the time of an entry in Rekor v1 loses the only time.
        let time_of_entry = if log == Log::V1 { ("log", "SIG-108") } else { ("role", "verified") };
        // What is looked up in the trusted root first is what proves the time.
        let first_of_root = if log == Log::V1 { ("log", "SIG-108") } else { ("time", "SIG-109") };
        let mut cases: Vec<Case> = vec![
            ("as signed", good.clone(), "role", "verified"),
            ("payload", payload(&good, "SPDX-2.3", "SPDX-2.2"), "signature", "SIG-102"),
            (
                "predicate type",
                payload(&good, predicate::SPDX, predicate::PROVENANCE),
                "signature",
                "SIG-102",
            ),
            ("subject", payload(&good, &image(0).hex(), &image(1).hex()), "subject", "foreign"),
            ("replay of another image's", of_another.clone(), "subject", "foreign"),
            ("another's payload", from(&good, &of_another, PAYLOAD), "subject", "foreign"),
            ("no log entry", with(&good, "/verificationMaterial/tlogEntries", &json!([])), "log", "SIG-108"),
            ("of another deployment", elsewhere.clone(), first_of_root.0, first_of_root.1),
            ("entry of another image", from(&good, &of_another, ENTRY), "log", "SIG-108"),
            ("entry of another signature", from(&good, &again, ENTRY), "log", "SIG-108"),
            ("entry of another log", from(&good, &elsewhere, ENTRY), "log", "SIG-108"),
            ("body of another entry", from(&good, &again, BODY), "log", "SIG-108"),
            ("one hash of the proof", bit(&good, HASH, |_| 3), "log", "SIG-108"),
            ("proof of another entry", from(&good, &of_another, PROOF), "log", "SIG-108"),
            (
                "one letter of the checkpoint",
                changed(&good, |bundle| {
                    let note = bundle.pointer_mut(CHECKPOINT).unwrap();
                    *note = json!(note.as_str().unwrap().replacen("127.0.0.1", "127.0.0.2", 1));
                }),
                "log",
                "SIG-108",
            ),
            ("another log's checkpoint", from(&good, &elsewhere, CHECKPOINT), "log", "SIG-108"),
            ("the log's name", bit(&good, LOG_ID, |_| 0), time_of_entry.0, time_of_entry.1),
            ("signature of another", from(&good, &again, SIGNATURE), "signature", "SIG-102"),
            ("one bit of the signature", bit(&good, SIGNATURE, |size| size - 1), "signature", "SIG-102"),
            ("another key's certificate", from(&good, &again, CERTIFICATE), "signature", "SIG-102"),
            (
                "one bit of the certificate",
                bit(&good, CERTIFICATE, |size| size - 5),
                "certificate",
                "SIG-107",
            ),
            (
                "certificate of another deployment",
                from(&good, &elsewhere, CERTIFICATE),
                "signature",
                "SIG-102",
            ),
            ("expired authority", lied(&sigstore, log, Lie::ExpiredChain).await, "certificate", "SIG-107"),
            ("expired", lied(&sigstore, log, Lie::ExpiredCertificate).await, "certificate", "SIG-107"),
            (
                "unknown authority",
                lied(&sigstore, log, Lie::UnknownAuthority).await,
                "certificate",
                "SIG-107",
            ),
            (
                "broken promise of the CT log",
                lied(&sigstore, log, Lie::WrongSct).await,
                "certificate",
                "SIG-107",
            ),
            ("no promise of the CT log", lied(&sigstore, log, Lie::NoSct).await, "certificate", "SIG-107"),
            ("somebody else", lied(&sigstore, log, Lie::OtherIdentity).await, "identity", "SIG-105"),
            (
                "entry about another hash",
                lied(&sigstore, log, Lie::EntryForAnotherHash).await,
                "log",
                "SIG-108",
            ),
            ("wrong proof", lied(&sigstore, log, Lie::WrongInclusionProof).await, "log", "SIG-108"),
            ("no proof", lied(&sigstore, log, Lie::NoInclusionProof).await, "log", "SIG-108"),
            ("checkpoint by another key", lied(&sigstore, log, Lie::WrongCheckpoint).await, "log", "SIG-108"),
        ];
        match log {
            Log::V1 => {
                let later = |by: i64| {
                    let time: i64 = good.pointer(TIME).unwrap().as_str().unwrap().parse().unwrap();
                    with(&good, TIME, &json!((time + by).to_string()))
                };
                cases.extend([
                    ("another time", later(1), "log", "SIG-108"),
                    ("a time in years", later(1 << 30), "log", "SIG-108"),
                    ("the log's promise", bit(&good, PROMISE, |size| size - 1), "log", "SIG-108"),
                    ("the promise of another entry", from(&good, &again, PROMISE), "log", "SIG-108"),
                    (
                        "no promise, so no time",
                        changed(&good, |bundle| {
                            let entry = bundle.pointer_mut(ENTRY).unwrap().as_object_mut().unwrap();
                            entry.remove("inclusionPromise");
                        }),
                        "time",
                        "SIG-109",
                    ),
                    (
                        "promised something else",
                        lied(&sigstore, log, Lie::WrongEntryTimestamp).await,
                        "log",
                        "SIG-108",
                    ),
                    (
                        "logged before the certificate",
                        lied(&sigstore, log, Lie::LateEntry).await,
                        "certificate",
                        "SIG-107",
                    ),
                ]);
            }
            Log::V2 => cases.extend([
                ("no timestamp", with(&good, STAMPS, &json!([])), "time", "SIG-109"),
                ("timestamp of another signature", from(&good, &again, STAMP), "time", "SIG-109"),
                ("another authority's timestamp", from(&good, &elsewhere, STAMP), "time", "SIG-109"),
                ("one bit of the timestamp", bit(&good, STAMP, |size| size - 1), "time", "SIG-109"),
                ("a timestamp that is none", with(&good, STAMP, &json!("AAAA")), "time", "SIG-109"),
                (
                    "stamped other bytes",
                    lied(&sigstore, log, Lie::TimestampOverOtherBytes).await,
                    "time",
                    "SIG-109",
                ),
                (
                    "stamped too late",
                    lied(&sigstore, log, Lie::LateTimestamp).await,
                    "certificate",
                    "SIG-107",
                ),
            ]),
        }
        let mut wrong = Vec::new();
        for (what, bundle, step, code) in cases {
            let verification = check(bundle.to_string().as_bytes(), &image(0), &trust);
            if ended(&verification) != (step, code) {
                wrong.push(format!("{log:?} {what}: {:?} {:?}", ended(&verification), verification.outcome));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// The bundle is good; who is trusted, and for what, decides.
#[tokio::test]
async fn trust_is_in_whom_for_what_by_which_root() {
    let (sigstore, stranger) = (Sigstore::start(), Sigstore::start());
    let own = || identity(&sigstore);
    for log in [Log::V1, Log::V2] {
        let bundle = Careless::new(&sigstore, log).sign(&sbom(&image(0))).await.to_string();
        let only = |role| Trust {
            identities: vec![TrustedIdentity { roles: Some(BTreeSet::from([role])), ..own() }],
            root: root(&sigstore),
            ..Trust::default()
        };
        let by = |issuer: &str, subject: &str| {
            trust(&sigstore, TrustedIdentity { issuer: issuer.into(), subject: subject.into(), roles: None })
        };
        let issuer = sigstore.issuer().url();
        let glob = "https://github.com/acme/payouts/*";
        let cases = [
            ("trusted", trust(&sigstore, own()), "role", "verified"),
            ("trusted by a pattern", by(&issuer, glob), "role", "verified"),
            ("nobody", Trust { root: root(&sigstore), ..Trust::default() }, "identity", "SIG-105"),
            ("another subject", by(&issuer, "https://github.com/acme/payroll/*"), "identity", "SIG-105"),
            ("another branch", by(&issuer, &WORKFLOW.replace("main", "mai")), "identity", "SIG-105"),
            (
                "another issuer",
                by("https://token.actions.githubusercontent.com", WORKFLOW),
                "identity",
                "SIG-105",
            ),
            ("an issuer that begins alike", by(&issuer[..issuer.len() - 1], WORKFLOW), "identity", "SIG-105"),
            ("for SBOMs", only(Role::Sbom), "role", "verified"),
            ("for signatures alone", only(Role::Signature), "role", "SIG-104"),
            ("no root", Trust { root: None, ..trust(&sigstore, own()) }, "signer", "SIG-112"),
            (
                "the root of another deployment",
                Trust { root: root(&stranger), ..trust(&sigstore, own()) },
                // Rekor v2 has no time: the timestamp is looked at first.
                if log == Log::V1 { "log" } else { "time" },
                if log == Log::V1 { "SIG-108" } else { "SIG-109" },
            ),
        ];
        for (what, trust, step, code) in cases {
            let verification = check(bundle.as_bytes(), &image(0), &trust);
            assert_eq!(ended(&verification), (step, code), "{log:?} {what}: {:?}", verification.outcome);
            if matches!(verification.outcome, Outcome::Verified(_)) {
                let numbers: Vec<u8> = verification.steps.iter().map(|step| step.number).collect();
                assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
            }
        }
        let trust = trust(&sigstore, own());
        assert_eq!(ended(&check(bundle.as_bytes(), &image(1), &trust)), ("subject", "foreign"));
    }
}

/// What a key signs may be in a log, too. In one that is known it must be right
/// there, and proves the time; one that is not known says nothing.
#[tokio::test]
async fn the_log_entry_of_a_key_counts_where_the_log_is_known() {
    let (sigstore, stranger) = (Sigstore::start(), Sigstore::start());
    for log in [Log::V1, Log::V2] {
        let signer = Careless::new(&sigstore, log);
        let good = signer.sign_by_key(&sbom(&image(0))).await;
        let other = signer.sign_by_key(&Statement::signature(&image(0))).await;
        let trust = |root, require_log| Trust {
            keys: vec![TrustedKey::new(signer.key().public_key().clone())],
            root,
            require_log,
            ..Trust::default()
        };
        let step = |bundle: &Value, trust: &Trust| {
            let verification = check(bundle.to_string().as_bytes(), &image(0), trust);
            let log = verification.steps.iter().find(|step| step.name == "log").map(|step| step.outcome);
            let log = log.unwrap_or_else(|| panic!("{verification:?}"));
            (ended(&verification).1, log, verification.outcome)
        };
        let (code, outcome, verified) = step(&good, &trust(root(&sigstore), true));
        assert_eq!((code, outcome), ("verified", StepOutcome::Done), "{log:?} {verified:?}");
        let Outcome::Verified(verified) = verified else { panic!("{verified:?}") };
        assert_eq!(verified.at.is_some(), log == Log::V1);

        for require_log in [false, true] {
            let known = trust(root(&sigstore), require_log);
            let of_another = from(&good, &other, ENTRY);
            let (code, outcome, _) = step(&of_another, &known);
            assert_eq!((code, outcome), ("SIG-108", StepOutcome::Failed), "{log:?}");
            let wrong_proof = bit(&good, HASH, |_| 0);
            assert_eq!(step(&wrong_proof, &known).0, "SIG-108", "{log:?}");
        }
        let unknown = |require_log| trust(root(&stranger), require_log);
        let (code, outcome, verified) = step(&good, &unknown(false));
        assert_eq!((code, outcome), ("verified", StepOutcome::NotApplicable), "{log:?}");
        let Outcome::Verified(verified) = verified else { panic!("{verified:?}") };
        assert_eq!(verified.at, None);
        assert_eq!(step(&good, &unknown(true)).0, "SIG-111", "{log:?}");
        assert_eq!(step(&good, &trust(None, false)).0, "verified");
        assert_eq!(step(&good, &trust(None, true)).0, "SIG-112");
    }
}

/// Flip each byte of a good bundle: it never verifies as something else. What
/// still verifies says nothing that is relied upon.
#[tokio::test]
async fn no_changed_byte_changes_what_is_verified() {
    let sigstore = Sigstore::start();
    let trust = trust(&sigstore, identity(&sigstore));
    for log in [Log::V1, Log::V2] {
        let good = Careless::new(&sigstore, log).sign(&sbom(&image(0))).await;
        let bytes = good.to_string().into_bytes();
        let mut still = 0;
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= [0x01, 0x20, 0x80][at % 3];
            let Outcome::Verified(verified) = check(&bytes, &image(0), &trust).outcome else { continue };
            still += 1;
            assert_eq!(verified.predicate.get(), r#"{"spdxVersion":"SPDX-2.3"}"#);
            assert_eq!(verified.predicate_type, predicate::SPDX);
            assert!(verified.by.to_string().contains(WORKFLOW));
            // Of these parts every character counts, but for the unused
            // bits of a last one.
            let changed: Value = serde_json::from_slice(&bytes).unwrap();
            for part in [PAYLOAD, SIGNATURE, CERTIFICATE, BODY] {
                let decoded = |bundle: &Value| {
                    let text = bundle.pointer(part).unwrap().as_str().unwrap().to_owned();
                    STANDARD.decode(&text).unwrap_or_default()
                };
                assert!(decoded(&changed) == decoded(&good), "{log:?} byte {at} of {part}");
            }
        }
        assert!(still < bytes.len() / 10, "{log:?}: {still} of {} changes went unnoticed", bytes.len());
    }
}
