//! Real cosign, both ways: it accepts what is signed here, and what it signs
//! with the test kit's services is what our verifier accepts. The kit is a
//! Sigstore as others see it, lies included.

use std::collections::BTreeMap;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plimsoll_evidence_trust::{Bundle, Evidence, Statement, predicate};
use plimsoll_model::Digest;
use plimsoll_testkit::peer::{self, Peers};
use plimsoll_testkit::registry::TestRegistry;
use plimsoll_testkit::sigstore::{Claims, Lie, Log, Sigstore};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{WORKFLOW, accepted, keyless, options, token, verified};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A repository in a registry.
pub(super) struct Repository {
    registry: TestRegistry,
    client: reqwest::Client,
}

impl Repository {
    pub(super) fn start() -> Self {
        Self { registry: TestRegistry::start(), client: reqwest::Client::new() }
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/v2/acme/payouts/{rest}", self.registry.url())
    }

    pub(super) fn reference(&self, digest: &str) -> String {
        format!("{}/acme/payouts@{digest}", self.registry.host())
    }

    /// Puts a blob there; its descriptor.
    async fn blob(&self, media_type: &str, bytes: String) -> Value {
        let (digest, size) = (plimsoll_oci::digest_of(bytes.as_bytes()), bytes.len());
        let post = self.client.post(self.url(&format!("blobs/uploads/?digest={digest}"))).body(bytes);
        assert_eq!(post.send().await.unwrap().status(), 201);
        json!({"mediaType": media_type, "digest": digest, "size": size})
    }

    /// Puts a manifest there; its descriptor.
    async fn manifest(&self, manifest: &Value) -> Value {
        let bytes = manifest.to_string();
        let (digest, size) = (plimsoll_oci::digest_of(bytes.as_bytes()), bytes.len());
        let put = self.client.put(self.url(&format!("manifests/{digest}"))).header("content-type", MANIFEST);
        assert_eq!(put.body(bytes).send().await.unwrap().status(), 201);
        json!({"mediaType": MANIFEST, "digest": digest, "size": size})
    }

    /// Puts an image without layers there; another one for each `name`.
    pub(super) async fn image(&self, name: &str) -> Value {
        let rootfs = json!({"type": "layers", "diff_ids": []});
        let config = json!({"architecture": "amd64", "author": name, "os": "linux", "rootfs": rootfs});
        let config = self.blob(CONFIG, config.to_string()).await;
        let image = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []});
        self.manifest(&image).await
    }

    /// Attaches a bundle to an image, as cosign 3 does.
    async fn attach(&self, image: &Value, bundle: &Bundle) {
        let empty = self.blob("application/vnd.oci.empty.v1+json", "{}".into()).await;
        let layer = self.blob(BUNDLE, bundle.json().into()).await;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": BUNDLE,
            "config": empty,
            "layers": [layer],
            "subject": image,
            "annotations": bundle.annotations(None),
        });
        self.manifest(&manifest).await;
    }

    async fn get(&self, rest: &str) -> String {
        let answer = self.client.get(self.url(rest)).header("accept", MANIFEST).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{rest}");
        answer.text().await.unwrap()
    }

    /// The one bundle that is attached to an image.
    async fn attached(&self, image: &str) -> String {
        let index: Value = serde_json::from_str(&self.get(&format!("referrers/{image}")).await).unwrap();
        let [referrer] = index["manifests"].as_array().unwrap().as_slice() else { panic!("{index}") };
        self.layer(referrer["digest"].as_str().unwrap()).await.0
    }

    /// The first layer of a manifest, and its annotations.
    pub(super) async fn layer(&self, manifest: &str) -> (String, BTreeMap<String, String>) {
        let manifest: Value =
            serde_json::from_str(&self.get(&format!("manifests/{manifest}")).await).unwrap();
        let layer = &manifest["layers"][0];
        let bytes = self.get(&format!("blobs/{}", layer["digest"].as_str().unwrap())).await;
        (bytes, serde_json::from_value(layer["annotations"].clone()).unwrap_or_default())
    }
}

/// cosign with a home of its own, and no network but loopback.
pub(super) struct Cosign<'a> {
    tool: &'static str,
    peers: Peers,
    sigstore: &'a Sigstore,
    pub(super) folder: TempDir,
}

impl<'a> Cosign<'a> {
    fn new(peers: Peers, sigstore: &'a Sigstore, log: Log) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        write("trusted_root.json", sigstore.trusted_root());
        write("signing_config.json", sigstore.signing_config(log));
        write("token", sigstore.token(&Claims::github("acme/payouts")));
        Self { tool: "cosign", peers, sigstore, folder }
    }

    /// cosign 2, which asks the internet for what the trusted root says, unless
    /// it is told again.
    pub(super) fn two(peers: Peers, sigstore: &'a Sigstore) -> Self {
        let cosign = Self { tool: "cosign2", ..Self::new(peers, sigstore, Log::V1) };
        let root: Value = serde_json::from_str(&sigstore.trusted_root()).unwrap();
        let write = |name: &str, label: &str, base64: &Value| {
            let der = STANDARD.decode(base64.as_str().unwrap()).unwrap();
            let pem = x509_cert::der::pem::encode_string(label, Default::default(), &der).unwrap();
            std::fs::write(cosign.folder.path().join(name), pem).unwrap();
        };
        write("tlogs.pem", "PUBLIC KEY", &root["tlogs"][0]["publicKey"]["rawBytes"]);
        write("ctlogs.pem", "PUBLIC KEY", &root["ctlogs"][0]["publicKey"]["rawBytes"]);
        let chain = &root["certificateAuthorities"][0]["certChain"]["certificates"];
        write("root.pem", "CERTIFICATE", &chain[0]["rawBytes"]);
        cosign
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command: Command = self.peers.command(self.tool);
        command.args(arguments).arg("--allow-http-registry");
        command.current_dir(self.folder.path()).env_clear().env("HOME", self.folder.path());
        if self.tool == "cosign2" {
            command.env("SIGSTORE_REKOR_PUBLIC_KEY", "tlogs.pem");
            command
                .env("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", "ctlogs.pem")
                .env("SIGSTORE_ROOT_FILE", "root.pem");
        }
        command.env("COSIGN_PASSWORD", "");
        let output = command.env("HTTPS_PROXY", "http://127.0.0.1:1").output().unwrap();
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        if output.status.success() { Ok(text.concat()) } else { Err(text.concat()) }
    }

    /// `sign` or `attest`, with the services of the signing config.
    fn make(&self, arguments: &[&str]) -> Result<String, String> {
        let services = ["--yes", "--signing-config", "signing_config.json", "--identity-token", "token"];
        self.run(&[arguments, &services, &["--trusted-root", "trusted_root.json"]].concat())
    }

    /// `verify` or `verify-attestation`, by the trusted root.
    fn check(&self, arguments: &[&str], identity: &str) -> Result<String, String> {
        let issuer = self.sigstore.issuer().url();
        let identity = ["--certificate-oidc-issuer", &issuer, "--certificate-identity", identity];
        self.run(&[arguments, &identity, &["--trusted-root", "trusted_root.json"]].concat())
    }

    fn sign(&self, image: &str) -> Result<String, String> {
        self.make(&["sign", image])
    }

    fn verify(&self, image: &str, identity: &str) -> Result<String, String> {
        self.check(&["verify", image], identity)
    }
}

#[tokio::test]
async fn cosign_accepts_what_is_signed_here() {
    let Some(peers) = peer::require(&["cosign"]) else { return };
    let sigstore = Sigstore::start();
    for log in [Log::V1, Log::V2] {
        let repository = Repository::start();
        let cosign = Cosign::new(peers.clone(), &sigstore, log);
        let image = repository.image("ours").await;
        let digest = image["digest"].as_str().unwrap();
        let about: Digest = digest.parse().unwrap();
        let provenance = json!({"buildDefinition": {"buildType": "https://plimsoll.test"}});
        let provenance =
            Statement::of(&about, Some("127.0.0.1/acme/payouts"), predicate::PROVENANCE, &provenance)
                .unwrap();
        let keyless = keyless(&sigstore, log, options());
        let statements = [Statement::signature(&about), provenance];
        let bundles = keyless.sign(&token(&sigstore), &statements).await.unwrap();
        let reference = repository.reference(digest);

        repository.attach(&image, &bundles[0]).await;
        cosign.verify(&reference, WORKFLOW).unwrap_or_else(|output| panic!("{log:?}: {output}"));
        cosign.verify(&reference, "https://github.com/mallory/payouts").unwrap_err();
        let attestation = ["verify-attestation", "--type", "slsaprovenance1", &reference];
        cosign.check(&attestation, WORKFLOW).unwrap_err();
        repository.attach(&image, &bundles[1]).await;
        cosign.check(&attestation, WORKFLOW).unwrap_or_else(|output| panic!("{log:?}: {output}"));

        // The signature of another image.
        let other = repository.image("another").await;
        repository.attach(&other, &bundles[0]).await;
        let reference = repository.reference(other["digest"].as_str().unwrap());
        cosign.verify(&reference, WORKFLOW).unwrap_err();
    }
}

/// cosign 2 finds bundles when it looks for attestations, and knows Rekor v1.
#[tokio::test]
async fn cosign_2_accepts_what_is_signed_here() {
    let Some(peers) = peer::require(&["cosign2"]) else { return };
    let sigstore = Sigstore::start();
    let repository = Repository::start();
    let image = repository.image("ours").await;
    let digest = image["digest"].as_str().unwrap();
    let keyless = keyless(&sigstore, Log::V1, options());
    let statement = Statement::signature(&digest.parse().unwrap());
    let bundles = keyless.sign(&token(&sigstore), &[statement]).await.unwrap();
    repository.attach(&image, &bundles[0]).await;
    let cosign = Cosign::two(peers, &sigstore);
    let reference = repository.reference(digest);
    let arguments = ["verify-attestation", "--new-bundle-format", "--type", predicate::SIGNATURE, &reference];
    cosign.check(&arguments, WORKFLOW).unwrap_or_else(|output| panic!("{output}"));
    cosign.check(&arguments, "https://github.com/mallory/payouts").unwrap_err();
}

#[tokio::test]
async fn cosign_signs_with_the_same_services() {
    let Some(peers) = peer::require(&["cosign"]) else { return };
    let sigstore = Sigstore::start();
    for log in [Log::V1, Log::V2] {
        let repository = Repository::start();
        let cosign = Cosign::new(peers.clone(), &sigstore, log);
        let predicate = json!({"buildDefinition": {"buildType": "https://plimsoll.test"}}).to_string();
        std::fs::write(cosign.folder.path().join("predicate.json"), predicate).unwrap();
        let signed = (&["sign"][..], predicate::SIGNATURE);
        let attested = (
            &["attest", "--type", "slsaprovenance1", "--predicate", "predicate.json"][..],
            predicate::PROVENANCE,
        );
        for (arguments, predicate_type) in [signed, attested] {
            let image = repository.image(predicate_type).await;
            let digest = image["digest"].as_str().unwrap();
            let reference = repository.reference(digest);
            let before = sigstore.entries(log);
            let made = cosign.make(&[arguments, &[&reference]].concat());
            made.unwrap_or_else(|output| panic!("{log:?}: {output}"));
            assert_eq!(sigstore.entries(log), before + 1);
            let bundle = repository.attached(digest).await;
            let evidence = Evidence::Bundle(bundle.as_bytes());
            let verified = verified(&sigstore, evidence, &digest.parse().unwrap()).unwrap();
            assert_eq!(verified.predicate_type, predicate_type);
            assert!(!accepted(&sigstore, &bundle, &super::image(1)));
        }
    }
}

/// The older scheme: a tag with a layer, its signature and certificate in annotations.
#[tokio::test]
async fn cosign_2_signs_with_the_same_services() {
    let Some(peers) = peer::require(&["cosign2"]) else { return };
    let sigstore = Sigstore::start();
    let repository = Repository::start();
    let cosign = Cosign::two(peers, &sigstore);
    let image = repository.image("theirs").await;
    let digest = image["digest"].as_str().unwrap();
    let (fulcio, rekor) = (sigstore.fulcio().url(), sigstore.rekor(Log::V1).url());
    let services = ["--yes", "--fulcio-url", &fulcio, "--rekor-url", &rekor, "--identity-token", "token"];
    let made = cosign.run(&[&["sign"], &services[..], &[&repository.reference(digest)]].concat());
    made.unwrap_or_else(|output| panic!("{output}"));
    let (payload, annotations) = repository.layer(&format!("{}.sig", digest.replace(':', "-"))).await;
    let evidence = Evidence::LegacySignature { payload: payload.as_bytes(), annotations: &annotations };
    let about = digest.parse().unwrap();
    assert_eq!(verified(&sigstore, evidence, &about).unwrap().predicate_type, predicate::SIGNATURE);
    verified(&sigstore, evidence, &super::image(1)).unwrap_err();
}

/// That is what the kit is for: if cosign did not notice, a test with it would
/// prove nothing.
#[tokio::test]
async fn cosign_notices_the_lies_of_the_kit() {
    let Some(peers) = peer::require(&["cosign"]) else { return };
    let sigstore = Sigstore::start();
    for log in [Log::V1, Log::V2] {
        let repository = Repository::start();
        let cosign = Cosign::new(peers.clone(), &sigstore, log);
        let mut lies = vec![
            Lie::WrongSct,
            Lie::NoSct,
            Lie::ExpiredChain,
            Lie::ExpiredCertificate,
            Lie::UnknownAuthority,
            Lie::CertificateForAnotherKey,
            Lie::EntryForAnotherHash,
            Lie::WrongCheckpoint,
            Lie::WrongInclusionProof,
        ];
        match log {
            Log::V1 => lies.extend([Lie::WrongEntryTimestamp, Lie::LateEntry]),
            Log::V2 => lies.extend([Lie::TimestampOverOtherBytes, Lie::LateTimestamp]),
        }
        for lie in lies {
            let image = repository.image(&format!("{lie:?}")).await;
            let reference = repository.reference(image["digest"].as_str().unwrap());
            sigstore.lie(lie);
            // It notices some only when it verifies.
            let outcome = cosign.sign(&reference).and_then(|_| cosign.verify(&reference, WORKFLOW));
            sigstore.tell_the_truth();
            outcome.expect_err(&format!("{log:?} {lie:?}"));
        }
    }
}
