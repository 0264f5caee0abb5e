//! Real cosign 3 and 2, and openssl, both ways: keys, and signatures and
//! attestations by key in both schemes. Keyless is `evidence/keyless`'s.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use plimsoll_evidence_trust::{
    Algorithm, BUNDLE_MEDIA_TYPE, Clock, Error, Evidence, Outcome, PrivateKey, PublicKey, Signer as _,
    Statement, Trust, TrustedKey, legacy, predicate, sign, sign_legacy, verify,
};
use plimsoll_model::{Commit, Digest, Repository, Secret};
use plimsoll_oci::{Descriptor, Layout, Manifest, media_type};
use plimsoll_registry::client::{
    Artifact, Attacher, Attachment, Blob, LegacyTag, Options, Publisher, Wanted,
};
use plimsoll_testkit::peer::{Peers, require};
use plimsoll_testkit::registry::TestRegistry;
use plimsoll_testkit::sigstore::Sigstore;
use serde_json::{Value, json};
use tempfile::TempDir;

const PASSWORD: &str = "correct horse";
/// Makes cosign 3 write the scheme of cosign 2.
const LEGACY: &str = "--new-bundle-format=false";
const ALGORITHMS: [Algorithm; 3] = [Algorithm::EcdsaP256, Algorithm::EcdsaP384, Algorithm::Ed25519];

/// The predicates that are attested: the name for cosign, the type, a document.
fn predicates() -> [(&'static str, &'static str, Value); 3] {
    [
        ("spdxjson", predicate::SPDX, json!({"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT"})),
        ("cyclonedx", predicate::CYCLONEDX, json!({"bomFormat": "CycloneDX", "specVersion": "1.6"})),
        (
            "slsaprovenance1",
            predicate::PROVENANCE,
            json!({"buildDefinition": {"buildType": "https://plimsoll.test"}, "runDetails": {}}),
        ),
    ]
}

/// Tools in a folder of their own, without any network but loopback.
struct Tools {
    peers: Peers,
    folder: TempDir,
}

impl Tools {
    fn new(peers: Peers) -> Self {
        Self { peers, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn try_run(&self, tool: &str, arguments: &[&str]) -> Result<String, String> {
        let mut command: Command = self.peers.command(tool);
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_clear().env("HOME", self.folder.path()).env("COSIGN_PASSWORD", PASSWORD);
        let output = command.env("HTTPS_PROXY", "http://127.0.0.1:1").output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(format!("{tool} {arguments:?}: {}{}", text(&output.stdout), text(&output.stderr))),
        }
    }

    fn run(&self, tool: &str, arguments: &[&str]) -> String {
        self.try_run(tool, arguments).unwrap_or_else(|output| panic!("{output}"))
    }

    /// A new key of ours as `key` and `pub`.
    fn own_key(&self, algorithm: Algorithm) -> PrivateKey {
        let key = PrivateKey::generate(algorithm).unwrap();
        self.write("key", key.to_cosign_pem(&Secret::new(PASSWORD)).unwrap().reveal());
        self.write("pub", key.public_key().to_pem());
        key
    }

    /// `sign` or `attest` with the key `key`, and no log.
    fn make(&self, tool: &str, arguments: &[&str], image: &str) {
        let legacy = tool == "cosign2" || arguments.contains(&LEGACY);
        let offline: &[&str] = match (tool, legacy) {
            ("cosign", true) => &["--use-signing-config=false", "--tlog-upload=false"],
            ("cosign", false) => &["--signing-config", "signing.json"],
            _ => &["--tlog-upload=false"],
        };
        if !legacy && !self.path("signing.json").exists() {
            self.run("cosign", &["signing-config", "create", "--out", "signing.json"]);
        }
        let common = ["--yes", "--key", "key", "--allow-http-registry", image];
        self.run(tool, &[arguments, offline, &common].concat());
    }

    fn verify(&self, tool: &str, arguments: &[&str], key: &str, image: &str) -> Result<String, String> {
        let common = ["--key", key, "--insecure-ignore-tlog=true", "--allow-http-registry", image];
        self.try_run(tool, &[arguments, &common].concat())
    }
}

/// A repository with images, in the embedded registry.
struct Images {
    registry: TestRegistry,
    repository: Repository,
}

impl Images {
    fn start() -> Self {
        let registry = TestRegistry::start();
        let repository = registry.repository("acme/payouts");
        Self { registry, repository }
    }

    /// Another image for each number.
    async fn push(&self, number: u32) -> Descriptor {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::open_or_create(folder.path()).unwrap();
        let put = |kind: &str, bytes: &[u8]| {
            layout.put(bytes).unwrap();
            Descriptor::of(kind, bytes)
        };
        let config = put(media_type::OCI_CONFIG, br#"{"architecture":"amd64","os":"linux"}"#);
        let layer = put(media_type::OCI_LAYER_TAR_GZIP, &number.to_be_bytes());
        let manifest = put(media_type::OCI_MANIFEST, &Manifest::oci(config, vec![layer]).to_bytes());
        let commit: Commit = format!("{number:012x}{:028}", 0).parse().unwrap();
        let publisher = Publisher::new(self.repository.clone(), Options::default()).unwrap();
        publisher.push(&layout, &manifest, &commit).await.unwrap();
        manifest
    }

    fn attacher(&self) -> Attacher {
        Attacher::new(self.repository.clone(), Options::default()).unwrap()
    }

    fn reference(&self, image: &Descriptor) -> String {
        format!("{}/acme/payouts@{}", self.registry.host(), image.digest)
    }

    /// Signs and attests an image in all ways that there are.
    async fn sign(&self, image: &Descriptor, key: &PrivateKey) {
        let mut statements = vec![Statement::signature(&image.digest)];
        for (_, predicate_type, document) in predicates() {
            let name = self.repository.to_string();
            statements.push(Statement::of(&image.digest, Some(&name), predicate_type, &document).unwrap());
        }
        let artifacts: Vec<Artifact> = statements
            .iter()
            .map(|statement| {
                let bundle = sign(statement, key).unwrap();
                let artifact = Artifact::document(BUNDLE_MEDIA_TYPE, bundle.json().to_owned());
                bundle
                    .annotations(None)
                    .into_iter()
                    .fold(artifact, |all, (name, value)| all.annotated(name, value))
            })
            .collect();
        self.attacher().attach_all(image, &artifacts).await.unwrap();
        let signature = sign_legacy(&self.repository, &image.digest, key).unwrap();
        let mut blob = Blob::new(legacy::SIMPLE_SIGNING, signature.payload);
        blob.annotations = signature.annotations;
        self.attacher().attach_legacy(&image.digest, LegacyTag::Signatures, &[blob]).await.unwrap();
    }

    /// All that is attached to an image.
    async fn found(&self, image: &Descriptor) -> Vec<Piece> {
        let evidence = self.attacher().reader().evidence(&image.digest, &Wanted::default()).await;
        let layers = |kind: fn(Vec<u8>, BTreeMap<String, String>) -> Piece, attachment: &Attachment| {
            let piece = |layer: &plimsoll_registry::client::Layer| {
                kind(layer.bytes.found().unwrap().to_vec(), layer.descriptor.annotations.clone())
            };
            attachment.layers.iter().map(piece).collect::<Vec<_>>()
        };
        let mut pieces = Vec::new();
        for referrer in evidence.referrers.found().unwrap() {
            pieces.extend(layers(|bytes, _| Piece::Bundle(bytes), referrer.content.found().unwrap()));
        }
        if let Some(signatures) = evidence.signatures.found() {
            pieces.extend(layers(Piece::Signature, signatures));
        }
        if let Some(attestations) = evidence.attestations.found() {
            pieces.extend(layers(Piece::Attestation, attestations));
        }
        pieces
    }
}

/// Something that is attached.
#[derive(Debug, Clone)]
enum Piece {
    Bundle(Vec<u8>),
    Signature(Vec<u8>, BTreeMap<String, String>),
    Attestation(Vec<u8>, BTreeMap<String, String>),
}

impl Piece {
    fn outcome(&self, image: &Digest, key: &PublicKey) -> Outcome {
        let evidence = match self {
            Self::Bundle(bytes) => Evidence::Bundle(bytes),
            Self::Signature(payload, annotations) => Evidence::LegacySignature { payload, annotations },
            Self::Attestation(envelope, annotations) => Evidence::LegacyAttestation { envelope, annotations },
        };
        let trust = Trust { keys: vec![TrustedKey::new(key.clone())], ..Trust::default() };
        verify(evidence, image, &trust, Clock { now: Timestamp::now(), known_since: None }).outcome
    }

    /// The same with one thing changed, and what that is to be called.
    fn tampered(&self, image: &Digest) -> Vec<(&'static str, Self, &'static str)> {
        let other = "ab".repeat(32);
        let replace = |bytes: &[u8], from: &str, to: &str| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            assert!(text.contains(from), "{text}");
            text.replace(from, to).into_bytes()
        };
        // cosign's bundles name the key; the older scheme does not, and a changed
        // byte looks like another key.
        let (bytes, wrap, changed): (_, Box<dyn Fn(Vec<u8>) -> Self>, _) = match self {
            Self::Signature(payload, annotations) => {
                let damaged = BTreeMap::from([(
                    legacy::SIGNATURE_ANNOTATION.to_owned(),
                    flipped(&annotations[legacy::SIGNATURE_ANNOTATION]),
                )]);
                let again = |payload| Self::Signature(payload, annotations.clone());
                return vec![
                    ("subject", again(replace(payload, &image.hex(), &other)), "foreign"),
                    ("kind", again(replace(payload, "cosign container", "other container")), "SIG-113"),
                    ("one blank more", again(replace(payload, "}", " }")), "SIG-103"),
                    ("signature", Self::Signature(payload.clone(), damaged), "SIG-103"),
                    ("no signature", Self::Signature(payload.clone(), BTreeMap::new()), "SIG-101"),
                ];
            }
            Self::Bundle(bytes) => (bytes, Box::new(Self::Bundle), "SIG-102"),
            Self::Attestation(bytes, annotations) => {
                let annotations = annotations.clone();
                (bytes, Box::new(move |bytes| Self::Attestation(bytes, annotations.clone())), "SIG-103")
            }
        };
        let document: Value = serde_json::from_slice(bytes).unwrap();
        let at = if document.get("dsseEnvelope").is_some() { "/dsseEnvelope" } else { "" };
        let with = |pointer: &str, value: Value| {
            let mut document = document.clone();
            *document.pointer_mut(&format!("{at}{pointer}")).unwrap() = value;
            wrap(document.to_string().into_bytes())
        };
        let payload = STANDARD.decode(document.pointer(&format!("{at}/payload")).unwrap().as_str().unwrap());
        let payload = payload.unwrap();
        let said =
            |from: &str, to: &str| with("/payload", json!(STANDARD.encode(replace(&payload, from, to))));
        let signature = document.pointer(&format!("{at}/signatures/0/sig")).unwrap().as_str().unwrap();
        vec![
            ("subject", said(&image.hex(), &other), "foreign"),
            ("predicate type", said("predicateType\":\"https://", "predicateType\":\"https://x."), changed),
            ("one blank more", said("}", " }"), changed),
            ("signature", with("/signatures/0/sig", json!(flipped(signature))), changed),
            ("payload type", with("/payloadType", json!("text/plain")), "SIG-113"),
            ("no signature", with("/signatures", json!([])), "SIG-101"),
        ]
    }
}

/// Base64 with the last bit of what it holds changed.
fn flipped(text: &str) -> String {
    let mut bytes = STANDARD.decode(text).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    STANDARD.encode(bytes)
}

fn code(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Verified(_) => "verified",
        Outcome::Foreign { .. } => "foreign",
        Outcome::Invalid { code, .. } | Outcome::Untrusted { code, .. } | Outcome::Unknown { code, .. } => {
            code
        }
    }
}

#[test]
fn both_cosigns_read_the_key_files_that_are_made_here() {
    let Some(peers) = require(&["cosign", "cosign2"]) else { return };
    let tools = Tools::new(peers);
    for algorithm in ALGORITHMS {
        let key = tools.own_key(algorithm);
        for tool in ["cosign", "cosign2"] {
            let public = tools.run(tool, &["public-key", "--key", "key"]);
            assert_eq!(public.trim(), key.public_key().to_pem().trim(), "{tool} {algorithm}");
        }
    }
}

#[test]
fn key_files_of_both_cosigns_are_read_here() {
    let Some(peers) = require(&["cosign", "cosign2", "openssl"]) else { return };
    // cosign 2 imports no PKCS #8 of ECDSA.
    let others =
        [("p256", Algorithm::EcdsaP256), ("p384", Algorithm::EcdsaP384), ("ed25519", Algorithm::Ed25519)];
    for (tool, others) in [("cosign", &others[..]), ("cosign2", &[])] {
        let tools = Tools::new(peers.clone());
        tools.run(tool, &["generate-key-pair"]);
        let curve = |curve, to| ["genpkey", "-algorithm", "EC", "-pkeyopt", curve, "-out", to];
        tools.run("openssl", &curve("ec_paramgen_curve:P-256", "p256"));
        tools.run("openssl", &curve("ec_paramgen_curve:P-384", "p384"));
        tools.run("openssl", &["genpkey", "-algorithm", "ed25519", "-out", "ed25519"]);
        for (name, algorithm) in [("cosign", Algorithm::EcdsaP256)].iter().chain(others) {
            if *name != "cosign" {
                tools.run(tool, &["import-key-pair", "--key", name, "--output-key-prefix", name]);
            }
            let text = tools.read(&format!("{name}.key"));
            let key = PrivateKey::from_pem(&text, Some(&Secret::new(PASSWORD))).unwrap();
            let public = PublicKey::from_pem(&tools.read(&format!("{name}.pub"))).unwrap();
            assert_eq!((key.public_key(), public.algorithm()), (&public, *algorithm), "{tool} {name}");
            let wrong = PrivateKey::from_pem(&text, Some(&Secret::new("wrong"))).unwrap_err();
            assert!(matches!(wrong, Error::Password), "{tool} {name}: {wrong}");
        }
    }
}

#[test]
fn keys_of_openssl_are_read_here_and_signatures_there() {
    let Some(peers) = require(&["openssl"]) else { return };
    let tools = Tools::new(peers);
    tools.write("message", "message");
    let curve = |curve| vec!["genpkey", "-algorithm", "EC", "-pkeyopt", curve, "-out", "key"];
    let sec1 = |curve| vec!["ecparam", "-genkey", "-name", curve, "-out", "key"];
    let bare = |mut arguments: Vec<&'static str>| {
        arguments.push("-noout");
        arguments
    };
    for (arguments, algorithm) in [
        (curve("ec_paramgen_curve:P-256"), Algorithm::EcdsaP256),
        (curve("ec_paramgen_curve:P-384"), Algorithm::EcdsaP384),
        (vec!["genpkey", "-algorithm", "ed25519", "-out", "key"], Algorithm::Ed25519),
        (bare(sec1("prime256v1")), Algorithm::EcdsaP256),
        (bare(sec1("secp384r1")), Algorithm::EcdsaP384),
        // With the block of parameters that openssl puts before the key.
        (sec1("prime256v1"), Algorithm::EcdsaP256),
    ] {
        tools.run("openssl", &arguments);
        let key = PrivateKey::from_pem(&tools.read("key"), None)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
        tools.run("openssl", &["pkey", "-in", "key", "-pubout", "-out", "pub"]);
        let public = PublicKey::from_pem(&tools.read("pub")).unwrap();
        assert_eq!((key.public_key(), public.algorithm()), (&public, algorithm), "{arguments:?}");
        tools.write("signature", key.sign(b"message").unwrap());
        let hash = match algorithm {
            Algorithm::EcdsaP256 | Algorithm::EcdsaP384 => &["-rawin", "-digest", "sha256"][..],
            Algorithm::Ed25519 => &["-rawin"],
        };
        let check =
            ["pkeyutl", "-verify", "-pubin", "-inkey", "pub", "-sigfile", "signature", "-in", "message"];
        tools.run("openssl", &[&check, hash].concat());
    }
    // What is of another kind is told, and not taken for one of these.
    for arguments in [
        &["genpkey", "-algorithm", "RSA", "-out", "key"][..],
        &["ecparam", "-genkey", "-name", "secp256k1", "-noout", "-out", "key"],
        &[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-aes256",
            "-pass",
            "pass:x",
            "-out",
            "key",
        ],
    ] {
        tools.run("openssl", arguments);
        let error = PrivateKey::from_pem(&tools.read("key"), None).unwrap_err();
        assert!(matches!(error, Error::PrivateKey { .. }), "{arguments:?}: {error}");
    }
}

#[tokio::test]
async fn both_cosigns_verify_what_is_signed_here() {
    let Some(peers) = require(&["cosign", "cosign2"]) else { return };
    let tools = Tools::new(peers);
    let images = Images::start();
    // cosign 2 wants one for bundles, though no key is in it.
    tools.write("root.json", Sigstore::start().trusted_root());
    tools.write("stranger", PrivateKey::generate(Algorithm::EcdsaP256).unwrap().public_key().to_pem());
    for (number, algorithm) in (0..).zip(ALGORITHMS) {
        let key = tools.own_key(algorithm);
        let image = images.push(number).await;
        images.sign(&image, &key).await;
        let reference = images.reference(&image);
        let bare = images.reference(&images.push(100 + number).await);
        let mut checks = vec![("cosign", vec!["verify"]), ("cosign2", vec!["verify"])];
        for (name, ..) in predicates() {
            checks.push(("cosign", vec!["verify-attestation", "--type", name]));
            let bundles = ["verify-attestation", "--new-bundle-format", "--trusted-root", "root.json"];
            checks.push(("cosign2", [&bundles[..], &["--type", name]].concat()));
        }
        for (tool, arguments) in checks {
            tools
                .verify(tool, &arguments, "pub", &reference)
                .unwrap_or_else(|output| panic!("{algorithm}: {output}"));
            if number > 0 {
                continue;
            }
            // It would say so of anything, otherwise.
            tools.verify(tool, &arguments, "stranger", &reference).unwrap_err();
            tools.verify(tool, &arguments, "pub", &bare).unwrap_err();
        }
    }
}

#[tokio::test]
async fn what_both_cosigns_sign_is_verified_here_and_each_wrong_is_told() {
    let Some(peers) = require(&["cosign", "cosign2"]) else { return };
    let tools = Tools::new(peers);
    let images = Images::start();
    let mut number = 0;
    for (_, _, document) in predicates() {
        tools.write(&format!("{number}.json"), document.to_string());
        number += 1;
    }
    for algorithm in ALGORITHMS {
        let key = tools.own_key(algorithm);
        let stranger = PrivateKey::generate(algorithm).unwrap();
        for (tool, forms) in [("cosign", &[&[][..], &[LEGACY]][..]), ("cosign2", &[&[]])] {
            for form in forms {
                number += 1;
                let image = images.push(number).await;
                let reference = images.reference(&image);
                tools.make(tool, &[&["sign"], *form].concat(), &reference);
                for (at, (name, ..)) in predicates().into_iter().enumerate() {
                    let file = format!("{at}.json");
                    let arguments = ["attest", "--type", name, "--predicate", &file];
                    tools.make(tool, &[&arguments, *form].concat(), &reference);
                }
                let pieces = images.found(&image).await;
                assert_eq!(pieces.len(), 4, "{tool} {form:?}: {pieces:?}");
                if (tool, algorithm) == ("cosign", Algorithm::Ed25519) {
                    // cosign 3 signs with Ed25519ph then, and cannot verify it either.
                    tools.verify(tool, &["verify"], "pub", &reference).unwrap_err();
                    for piece in &pieces {
                        let outcome = piece.outcome(&image.digest, key.public_key());
                        assert!(matches!(code(&outcome), "SIG-102" | "SIG-103"), "{outcome:?}");
                    }
                    continue;
                }
                let mut types = Vec::new();
                for piece in &pieces {
                    let outcome = piece.outcome(&image.digest, key.public_key());
                    let Outcome::Verified(verified) = outcome else {
                        panic!("{tool} {algorithm}: {outcome:?}")
                    };
                    types.push(verified.predicate_type);
                    let of_another = piece.outcome(&Digest::from_sha256([1; 32]), key.public_key());
                    assert!(matches!(of_another, Outcome::Foreign { .. }), "{of_another:?}");
                    let untrusted = piece.outcome(&image.digest, stranger.public_key());
                    assert_eq!(code(&untrusted), "SIG-103", "{untrusted:?}");
                    for (what, changed, expected) in piece.tampered(&image.digest) {
                        let outcome = changed.outcome(&image.digest, key.public_key());
                        assert_eq!(
                            code(&outcome),
                            expected,
                            "{tool} {form:?} {algorithm} {what}: {outcome:?}"
                        );
                    }
                }
                types.sort();
                let mut expected: Vec<_> = predicates().iter().map(|(_, uri, _)| (*uri).to_owned()).collect();
                expected.push(predicate::SIGNATURE.to_owned());
                expected.sort();
                assert_eq!(types, expected, "{tool} {form:?}");
            }
        }
    }
}
