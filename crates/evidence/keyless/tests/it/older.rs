//! What goes with a signature in the scheme of cosign 2: the log's promise and
//! a timestamp, by key and by identity. Each is looked at, and none of them can
//! be left out, emptied or borrowed where it is needed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plimsoll_evidence_trust::{
    Algorithm, Clock, Evidence, Outcome, PrivateKey, Role, Root, Signer as _, StepOutcome, Trust,
    TrustedIdentity, TrustedKey, Verification, verify,
};
use plimsoll_model::{Digest, Secret};
use plimsoll_testkit::peer;
use plimsoll_testkit::sigstore::{Log, Sigstore};
use serde_json::{Value, json};

use super::WORKFLOW;
use super::cosign::{Cosign, Repository};

const ENTRY: &str = "dev.sigstore.cosign/bundle";
const STAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

/// A layer at one of the tags.
#[derive(Clone)]
struct Layer {
    image: Digest,
    bytes: String,
    annotations: BTreeMap<String, String>,
    attestation: bool,
}

impl Layer {
    fn verify(&self, trust: &Trust) -> Verification {
        let (bytes, annotations) = (self.bytes.as_bytes(), &self.annotations);
        let evidence = if self.attestation {
            Evidence::LegacyAttestation { envelope: bytes, annotations }
        } else {
            Evidence::LegacySignature { payload: bytes, annotations }
        };
        verify(evidence, &self.image, trust, Clock { now: Timestamp::now(), known_since: None })
    }

    fn ended(&self, trust: &Trust) -> (&'static str, &'static str) {
        let verification = self.verify(trust);
        let code = match verification.outcome {
            Outcome::Verified(_) => "verified",
            Outcome::Foreign { .. } => "foreign",
            Outcome::Invalid { code, .. }
            | Outcome::Untrusted { code, .. }
            | Outcome::Unknown { code, .. } => code,
        };
        (verification.steps.last().unwrap().name, code)
    }

    fn with(&self, name: &str, value: Option<&str>) -> Self {
        let mut layer = self.clone();
        match value {
            Some(value) => drop(layer.annotations.insert(name.into(), value.into())),
            None => drop(layer.annotations.remove(name)),
        }
        layer
    }

    /// With another value in the log entry.
    fn entry(&self, pointer: &str, value: &Value) -> Self {
        let mut entry: Value = serde_json::from_str(&self.annotations[ENTRY]).unwrap();
        *entry.pointer_mut(pointer).unwrap() = value.clone();
        self.with(ENTRY, Some(&entry.to_string()))
    }
}

/// Makes a signature and an attestation of an image.
struct Maker<'a> {
    cosign: Cosign<'a>,
    repository: Repository,
    rekor: String,
}

impl Maker<'_> {
    async fn make(&self, name: &str, arguments: &[&str]) -> [Layer; 2] {
        let image = self.repository.image(name).await;
        let digest = image["digest"].as_str().unwrap();
        let reference = self.repository.reference(digest);
        let services = [&["--yes", "--rekor-url", &self.rekor], arguments].concat();
        let predicate = ["--type", "https://example.com/t", "--predicate", "predicate.json"];
        std::fs::write(self.cosign.folder.path().join("predicate.json"), "{}").unwrap();
        for command in [&["sign"][..], &[&["attest"], &predicate[..]].concat()] {
            let made = self.cosign.run(&[command, &services, &[&reference]].concat());
            made.unwrap_or_else(|output| panic!("{output}"));
        }
        let tag = digest.replace(':', "-");
        let mut layers = Vec::new();
        for (suffix, attestation) in [("sig", false), ("att", true)] {
            let (bytes, annotations) = self.repository.layer(&format!("{tag}.{suffix}")).await;
            layers.push(Layer { image: digest.parse().unwrap(), bytes, annotations, attestation });
        }
        layers.try_into().unwrap_or_else(|_| panic!("two were made"))
    }
}

fn root(sigstore: &Sigstore) -> Option<Root> {
    Some(Root::from_json(&sigstore.trusted_root()).unwrap())
}

#[tokio::test]
async fn what_goes_with_a_signature_by_key_is_looked_at() {
    let Some(peers) = peer::require(&["cosign2"]) else { return };
    let sigstore = Sigstore::start();
    let maker = Maker {
        cosign: Cosign::two(peers, &sigstore),
        repository: Repository::start(),
        rekor: sigstore.rekor(Log::V1).url(),
    };
    let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
    let file = key.to_cosign_pem(&Secret::new("")).unwrap();
    std::fs::write(maker.cosign.folder.path().join("cosign.key"), file.reveal()).unwrap();
    let trust = |root, require_log| Trust {
        keys: vec![TrustedKey::new(key.public_key().clone())],
        root,
        require_log,
        ..Trust::default()
    };
    let (known, strict) = (trust(root(&sigstore), false), trust(root(&sigstore), true));
    let logged = maker.make("logged", &["--key", "cosign.key"]).await;
    let others = maker.make("others", &["--key", "cosign.key"]).await;
    for (good, other) in logged.iter().zip(&others) {
        let verification = good.verify(&strict);
        let Outcome::Verified(verified) = &verification.outcome else { panic!("{verification:?}") };
        assert!(verified.at.is_some());
        let log = verification.steps.iter().find(|step| step.name == "log").unwrap();
        assert_eq!(log.outcome, StepOutcome::Done);
        for trust in [&known, &strict] {
            for (what, wrong) in [
                ("another time", good.entry("/Payload/integratedTime", &json!(1))),
                ("another place", good.entry("/Payload/logIndex", &json!(1))),
                ("no promise", good.entry("/SignedEntryTimestamp", &json!(""))),
                ("entry of another", good.with(ENTRY, Some(&other.annotations[ENTRY]))),
            ] {
                assert_eq!(wrong.ended(trust), ("log", "SIG-108"), "{what}");
            }
            assert_eq!(good.with(ENTRY, Some("{")).ended(trust), ("read", "SIG-101"));
        }
        let none = good.with(ENTRY, None);
        assert_eq!(none.ended(&known), ("role", "verified"));
        assert_eq!(none.ended(&strict), ("log", "SIG-111"));
    }
    // Nor does one whose signature is hashed in a way that the library does not take.
    let curve = PrivateKey::generate(Algorithm::EcdsaP384).unwrap();
    let file = curve.to_cosign_pem(&Secret::new("")).unwrap();
    std::fs::write(maker.cosign.folder.path().join("p384.key"), file.reveal()).unwrap();
    let [signature, attestation] = maker.make("p384", &["--key", "p384.key", "--tlog-upload=false"]).await;
    let on_curve = |mut trust: Trust| {
        trust.keys = vec![TrustedKey::new(curve.public_key().clone())];
        trust
    };
    let loose = on_curve(trust(root(&sigstore), false));
    let firm = on_curve(trust(root(&sigstore), true));
    let entry = |layer: &Layer, of: &Layer| layer.with(ENTRY, Some(&of.annotations[ENTRY]));
    let (signature, attestation) = (entry(&signature, &logged[0]), entry(&attestation, &logged[1]));
    assert_eq!(signature.ended(&loose), ("log", "SIG-108"));
    assert_eq!(attestation.ended(&loose), ("role", "verified"));
    assert_eq!(attestation.ended(&firm), ("log", "SIG-111"));
    // A kind of entry that is not known here says nothing.
    let intoto = maker.make("intoto", &["--key", "cosign.key"]).await;
    let mut entry: Value = serde_json::from_str(&intoto[1].annotations[ENTRY]).unwrap();
    entry["Payload"]["body"] = json!("eyJhcGlWZXJzaW9uIjoiMC4wLjEiLCJraW5kIjoiaW50b3RvIn0=");
    let unknown = intoto[1].with(ENTRY, Some(&entry.to_string()));
    assert_eq!(unknown.ended(&known), ("role", "verified"));
    assert_eq!(unknown.ended(&strict), ("log", "SIG-111"));
}

#[tokio::test]
async fn a_timestamp_with_a_signature_by_key_proves_its_time() {
    let Some(peers) = peer::require(&["cosign2"]) else { return };
    let sigstore = Sigstore::start();
    let maker = Maker {
        cosign: Cosign::two(peers, &sigstore),
        repository: Repository::start(),
        rekor: sigstore.rekor(Log::V1).url(),
    };
    let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
    let file = key.to_cosign_pem(&Secret::new("")).unwrap();
    std::fs::write(maker.cosign.folder.path().join("cosign.key"), file.reveal()).unwrap();
    let tsa = sigstore.tsa().url();
    let arguments = ["--key", "cosign.key", "--tlog-upload=false", "--timestamp-server-url", &tsa];
    let stamped = maker.make("stamped", &arguments).await;
    let others = maker.make("others", &arguments).await;
    let mut trust = Trust {
        keys: vec![TrustedKey::new(key.public_key().clone())],
        root: root(&sigstore),
        ..Trust::default()
    };
    // A key that ends in an hour, asked in a year: the timestamp decides.
    let hour = jiff::SignedDuration::from_hours(1);
    trust.keys[0].not_after = Some(Timestamp::now() + hour);
    for (good, other) in stamped.iter().zip(&others) {
        assert!(good.annotations.contains_key(STAMP));
        let verification = good.verify(&trust);
        let Outcome::Verified(verified) = &verification.outcome else { panic!("{verification:?}") };
        assert!(verified.at.is_some(), "{verification:?}");
        let borrowed = good.with(STAMP, Some(&other.annotations[STAMP]));
        assert_eq!(borrowed.ended(&trust), ("time", "SIG-109"));
        assert_eq!(good.with(STAMP, Some("{}")).ended(&trust), ("read", "SIG-101"));
    }
}

/// The log's promise is what proves a signature without a key to be in the log:
/// a timestamp beside it does not stand in for it.
#[tokio::test]
async fn without_a_key_the_promise_of_the_log_must_hold() {
    let Some(peers) = peer::require(&["cosign2"]) else { return };
    let sigstore = Sigstore::start();
    let maker = Maker {
        cosign: Cosign::two(peers, &sigstore),
        repository: Repository::start(),
        rekor: sigstore.rekor(Log::V1).url(),
    };
    let (fulcio, tsa) = (sigstore.fulcio().url(), sigstore.tsa().url());
    let arguments =
        ["--fulcio-url", &fulcio, "--identity-token", "token", "--timestamp-server-url", tsa.as_str()];
    let layers = maker.make("ours", &arguments).await;
    let others = maker.make("others", &arguments).await;
    let trust = Trust {
        identities: vec![TrustedIdentity {
            issuer: sigstore.issuer().url(),
            subject: WORKFLOW.into(),
            roles: None,
        }],
        root: root(&sigstore),
        ..Trust::default()
    };
    for (good, other) in layers.iter().zip(&others) {
        let verification = good.verify(&trust);
        let Outcome::Verified(verified) = &verification.outcome else { panic!("{verification:?}") };
        assert_eq!(verified.role, if good.attestation { Role::Other } else { Role::Signature });
        // Of an attestation the layer is stamped, and not the signature.
        let no_time = if good.attestation { ("time", "SIG-109") } else { ("log", "SIG-108") };
        assert_eq!(good.entry("/Payload/integratedTime", &json!(0)).ended(&trust), no_time);
        for (what, wrong) in [
            ("another time", good.entry("/Payload/integratedTime", &json!(1))),
            ("no promise", good.entry("/SignedEntryTimestamp", &json!(""))),
            ("a promise of another", {
                let theirs: Value = serde_json::from_str(&other.annotations[ENTRY]).unwrap();
                good.entry("/SignedEntryTimestamp", &theirs["SignedEntryTimestamp"])
            }),
            ("entry of another", good.with(ENTRY, Some(&other.annotations[ENTRY]))),
            ("no entry", good.with(ENTRY, None)),
        ] {
            assert_eq!(wrong.ended(&trust), ("log", "SIG-108"), "{what}");
        }
        let borrowed = good.with(STAMP, Some(&other.annotations[STAMP]));
        assert_eq!(borrowed.ended(&trust), ("time", "SIG-109"));
    }
}
