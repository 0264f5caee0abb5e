//! Real cosign signs with the kit's services and verifies against its trusted
//! root: the kit is a Sigstore as others see it.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use plimsoll_testkit::peer;
use plimsoll_testkit::registry::TestRegistry;
use plimsoll_testkit::sigstore::{Claims, Lie, Log, Sigstore};
use serde_json::json;
use tempfile::TempDir;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const WORKFLOW: &str = "https://github.com/acme/payouts/.github/workflows/build.yml@refs/heads/main";

/// An empty image in the registry, by digest; another one for each `name`.
async fn push_image(registry: &TestRegistry, name: &str) -> String {
    let client = reqwest::Client::new();
    let url = registry.url();
    let rootfs = json!({"type": "layers", "diff_ids": []});
    let config = json!({"architecture": "amd64", "author": name, "os": "linux", "rootfs": rootfs});
    let config = config.to_string();
    let digest = plimsoll_oci::digest_of(config.as_bytes());
    let started = client.post(format!("{url}/v2/acme/payouts/blobs/uploads/?digest={digest}"));
    let answer = started.body(config.clone()).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest,
            "size": config.len(),
        },
        "layers": [],
    })
    .to_string();
    let digest = plimsoll_oci::digest_of(manifest.as_bytes());
    let put = client.put(format!("{url}/v2/acme/payouts/manifests/{digest}"));
    let answer = put.header("content-type", MANIFEST).body(manifest).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    format!("{}/acme/payouts@{digest}", registry.host())
}

/// Runs cosign with a home of its own and no network but loopback.
fn run(command: &mut Command, home: &Path) -> Result<String, String> {
    let command = command.env_clear().env("HOME", home).env("HTTPS_PROXY", "http://127.0.0.1:1");
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if output.status.success() { Ok(text.concat()) } else { Err(text.concat()) }
}

fn files(sigstore: &Sigstore, log: Log) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("trusted_root.json"), sigstore.trusted_root()).unwrap();
    std::fs::write(folder.path().join("signing_config.json"), sigstore.signing_config(log)).unwrap();
    std::fs::write(folder.path().join("token"), sigstore.token(&Claims::github("acme/payouts"))).unwrap();
    folder
}

#[tokio::test]
async fn cosign_signs_and_verifies() {
    let Some(peers) = peer::require(&["cosign"]) else { return };
    let sigstore = Sigstore::start();
    for log in [Log::V1, Log::V2] {
        let registry = TestRegistry::start();
        let folder = files(&sigstore, log);
        let path = |name: &str| folder.path().join(name);
        let sign = |image: &str| {
            let mut sign = peers.command("cosign");
            sign.args(["sign", "--yes", "--allow-http-registry", image, "--signing-config"]);
            sign.arg(path("signing_config.json")).arg("--trusted-root").arg(path("trusted_root.json"));
            sign.arg("--identity-token").arg(path("token"));
            run(&mut sign, folder.path())
        };
        let verify = |image: &str, identity: &str| {
            let mut verify = peers.command("cosign");
            verify.args(["verify", "--allow-http-registry", image, "--trusted-root"]);
            verify
                .arg(path("trusted_root.json"))
                .args(["--certificate-oidc-issuer", &sigstore.issuer().url()]);
            verify.args(["--certificate-identity", identity]);
            run(&mut verify, folder.path())
        };
        let image = push_image(&registry, "honest").await;
        let before = sigstore.entries(log);
        sign(&image).unwrap_or_else(|output| panic!("{log:?}: {output}"));
        assert_eq!(sigstore.entries(log), before + 1);
        verify(&image, WORKFLOW).unwrap_or_else(|output| panic!("{log:?}: {output}"));
        verify(&image, "https://github.com/mallory/payouts").unwrap_err();

        // It notices, now or when it verifies, what the kit lies about.
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
            let image = push_image(&registry, &format!("{lie:?}")).await;
            sigstore.lie(lie);
            let outcome = sign(&image).and_then(|_| verify(&image, WORKFLOW));
            sigstore.tell_the_truth();
            outcome.expect_err(&format!("{log:?} {lie:?}"));
        }
    }
}
