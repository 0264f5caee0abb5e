//! What we attach, others list and verify; what others attach, we read; and
//! where both attach at once, ours stays. Against `distribution` 2, which has
//! no referrers API, and against the embedded registry, which has one.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use plimsoll_model::{Lookup, Repository};
use plimsoll_oci::Descriptor;
use plimsoll_registry::client::{
    Artifact, Attacher, Attachment, Blob, LegacyTag, Options, Policy, Publisher, Reader, Via, Wanted,
};
use plimsoll_testkit::peer::{Peers, docker_registry, require};
use plimsoll_testkit::registry::TestRegistry;
use tempfile::TempDir;

use super::attaching::{BUNDLE, artifact};
use super::image::{noise, options, sha, small};

/// Pushes the small image, and says how others name it.
async fn push(repository: &Repository) -> (Descriptor, String) {
    let image = small();
    let publisher = Publisher::new(repository.clone(), options()).unwrap();
    publisher.push(&image.layout, &image.descriptor, &sha()).await.unwrap();
    (image.descriptor.clone(), format!("{repository}@{}", image.descriptor.digest))
}

fn repository(host: &str, path: &str) -> Repository {
    format!("{host}/{path}").parse().unwrap()
}

/// `distribution` answers 500 now and then when several write one tag.
fn attacher(repository: &Repository) -> Attacher {
    let retry = Policy { attempts: 10, first_delay: Duration::from_millis(5), ..Policy::default() };
    Attacher::new(repository.clone(), Options { retry, ..options() }).unwrap()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A key pair of cosign's, without a password, and what keeps it offline.
struct Keys {
    folder: TempDir,
}

impl Keys {
    fn make(peers: &Peers, tool: &str) -> Self {
        let keys = Self { folder: tempfile::tempdir().unwrap() };
        run(keys.cosign(peers, tool).args(["generate-key-pair"]));
        if tool == "cosign" {
            run(keys.cosign(peers, tool).args(["signing-config", "create", "--out", "signing.json"]));
        }
        std::fs::write(keys.folder.path().join("predicate.json"), "{\"a\":1}").unwrap();
        keys
    }

    fn cosign(&self, peers: &Peers, tool: &str) -> Command {
        let mut command = peers.command(tool);
        command.current_dir(self.folder.path()).env("COSIGN_PASSWORD", "").env("HOME", self.folder.path());
        command.stdin(Stdio::null());
        command
    }

    fn attest(&self, peers: &Peers, image: &str, kind: &str) -> Command {
        let mut command = self.cosign(peers, "cosign");
        command.args(["attest", "--yes", "--key", "cosign.key", "--signing-config", "signing.json"]);
        command.args(["--predicate", "predicate.json", "--type", kind, image]);
        command
    }

    fn verify(&self, peers: &Peers, tool: &str, verb: &str, more: &[&str], image: &str) -> String {
        let mut command = self.cosign(peers, tool);
        command.args([verb, "--key", "cosign.pub", "--insecure-ignore-tlog"]).args(more).arg(image);
        run(&mut command)
    }
}

/// The only thing that is attached.
async fn only(reader: &Reader, subject: &Descriptor) -> Attachment {
    let evidence = reader.evidence(&subject.digest, &Wanted::default()).await;
    let referrers = evidence.referrers.found().unwrap();
    assert_eq!(referrers.len(), 1, "{referrers:?}");
    referrers[0].content.found().unwrap().clone()
}

/// A layer's bytes as others fetch them.
fn fetch(peers: &Peers, repository: &Repository, layer: &Descriptor, to: &Path) -> Vec<u8> {
    let _ = std::fs::remove_file(to);
    let blob = format!("{repository}@{}", layer.digest);
    run(peers.command("oras").args(["blob", "fetch", "--plain-http", "--output"]).arg(to).arg(&blob));
    std::fs::read(to).unwrap()
}

async fn others_list_and_fetch(repository: &Repository, via: Via) {
    let Some(peers) = require(&["oras", "crane", "skopeo"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (subject, image) = push(repository).await;
    // Embedded in the manifest, and too large for that.
    let sizes = [1_000, 90_000, 700_000];
    let artifacts: Vec<Artifact> =
        sizes.iter().map(|size| Artifact::document(BUNDLE, noise(*size, *size as u64))).collect();
    let attached = attacher(repository).attach_all(&subject, &artifacts).await.unwrap();
    assert!(attached.iter().all(|one| one.via == via));
    let listed = run(peers.command("oras").args(["discover", "--plain-http", "--format", "json", &image]));
    for (artifact, one) in artifacts.iter().zip(&attached) {
        let digest = one.descriptor.digest.to_string();
        assert!(listed.contains(&digest) && listed.contains(BUNDLE), "{listed}");
        let at = format!("{repository}@{digest}");
        let by_crane = run(peers.command("crane").args(["manifest", "--insecure", &at]));
        assert_eq!(plimsoll_oci::digest_of(by_crane.trim_end().as_bytes()), one.descriptor.digest);
        let by_skopeo = format!("docker://{at}");
        let by_skopeo =
            run(peers.command("skopeo").args(["inspect", "--tls-verify=false", "--raw", &by_skopeo]));
        assert_eq!(by_skopeo, by_crane.trim_end());
        let layer = Descriptor::of(BUNDLE, &artifact.layers[0].bytes);
        assert_eq!(fetch(&peers, repository, &layer, &folder.path().join("blob")), artifact.layers[0].bytes);
        // A copy by another tool carries it whole.
        let copy = format!("{repository}-copy@{digest}");
        let copied = format!("{repository}-copy:t{}", artifact.layers[0].bytes.len());
        run(peers.command("crane").args(["copy", "--insecure", &at, &copied]));
        assert_eq!(run(peers.command("crane").args(["manifest", "--insecure", &copy])), by_crane);
    }
}

#[tokio::test]
async fn others_list_and_fetch_what_we_attach() {
    let registry = TestRegistry::start();
    others_list_and_fetch(&registry.repository("acme/payouts"), Via::ReferrersApi).await;
    let Some(distribution) = docker_registry() else { return };
    others_list_and_fetch(&repository(distribution.host(), "acme/payouts"), Via::TagSchema).await;
}

/// cosign attests one image; we take its bundle, attach it to the same image
/// elsewhere in our own form, and cosign verifies that.
async fn cosign_verifies_ours(host: &str) {
    let Some(peers) = require(&["cosign"]) else { return };
    let keys = Keys::make(&peers, "cosign");
    let (here, there) = (repository(host, "acme/payouts"), repository(host, "acme/elsewhere"));
    let (subject, image) = push(&here).await;
    run(&mut keys.attest(&peers, &image, "https://example.com/t"));
    let theirs = only(&attacher(&here).reader(), &subject).await;
    assert_eq!(theirs.layers[0].descriptor.media_type, BUNDLE);

    let bundle = theirs.layers[0].bytes.found().unwrap().clone();
    let ours = Artifact::document(BUNDLE, bundle)
        .annotated("dev.sigstore.bundle.content", "dsse-envelope")
        .annotated("dev.sigstore.bundle.predicateType", "https://example.com/t");
    let (subject, image) = push(&there).await;
    let attached = attacher(&there).attach(&subject, &ours).await.unwrap();
    assert!(only(&attacher(&there).reader(), &subject).await.layers[0].descriptor.data.is_some());
    keys.verify(&peers, "cosign", "verify-attestation", &["--type", "https://example.com/t"], &image);
    let tree = run(keys.cosign(&peers, "cosign").args(["tree", &image]));
    assert!(tree.contains(&attached.descriptor.digest.to_string()), "{tree}");
}

#[tokio::test]
async fn cosign_3_verifies_what_we_attach() {
    let registry = TestRegistry::start();
    cosign_verifies_ours(&registry.host()).await;
    let Some(distribution) = docker_registry() else { return };
    cosign_verifies_ours(distribution.host()).await;
}

/// The same with the tags of cosign 2, and beside a signature of its own.
#[tokio::test]
async fn cosign_2_verifies_what_we_attach() {
    let Some(peers) = require(&["cosign2"]) else { return };
    let Some(distribution) = docker_registry() else { return };
    let keys = Keys::make(&peers, "cosign2");
    let here = repository(distribution.host(), "acme/payouts");
    let there = repository(distribution.host(), "acme/elsewhere");
    let sign = |image: &str| {
        let mut command = keys.cosign(&peers, "cosign2");
        command.args(["sign", "--yes", "--key", "cosign.key", "--tlog-upload=false", image]);
        run(&mut command)
    };
    let attest = |image: &str, kind: &str| {
        let mut command = keys.cosign(&peers, "cosign2");
        command.args(["attest", "--yes", "--key", "cosign.key", "--tlog-upload=false"]);
        command.args(["--predicate", "predicate.json", "--type", kind, image]);
        run(&mut command)
    };
    let (subject, image) = push(&here).await;
    sign(&image);
    attest(&image, "https://example.com/t");
    let theirs = attacher(&here).reader().evidence(&subject.digest, &Wanted::default()).await;
    let (subject, image) = push(&there).await;
    // One of its own is there already, and stays.
    attest(&image, "https://example.com/before");
    for (kind, found) in
        [(LegacyTag::Signatures, theirs.signatures), (LegacyTag::Attestations, theirs.attestations)]
    {
        let layers: Vec<Blob> = found
            .found()
            .unwrap()
            .layers
            .iter()
            .map(|layer| Blob {
                media_type: layer.descriptor.media_type.clone(),
                bytes: layer.bytes.found().unwrap().clone(),
                annotations: layer.descriptor.annotations.clone(),
            })
            .collect();
        let attached = attacher(&there).attach_legacy(&subject.digest, kind, &layers).await.unwrap();
        assert!(!attached.already_present);
        assert!(
            attacher(&there).attach_legacy(&subject.digest, kind, &layers).await.unwrap().already_present
        );
    }
    keys.verify(&peers, "cosign2", "verify", &[], &image);
    for kind in ["https://example.com/t", "https://example.com/before"] {
        keys.verify(&peers, "cosign2", "verify-attestation", &["--type", kind], &image);
    }
    // And it appends to what we wrote.
    attest(&image, "https://example.com/after");
    let evidence = attacher(&there).reader().evidence(&subject.digest, &Wanted::default()).await;
    assert_eq!(evidence.attestations.found().unwrap().layers.len(), 3);
    keys.verify(&peers, "cosign2", "verify-attestation", &["--type", "https://example.com/t"], &image);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_of_ours_lose_nothing_with_distribution() {
    let Some(distribution) = docker_registry() else { return };
    let here = repository(distribution.host(), "acme/payouts");
    let (subject, _) = push(&here).await;
    let writers = (0..16).map(|n| {
        let (attacher, subject) = (attacher(&here), subject.clone());
        tokio::spawn(async move { attacher.attach(&subject, &artifact(n)).await })
    });
    let mut expected = BTreeSet::new();
    for attached in join_all(writers).await {
        expected.insert(attached.unwrap().unwrap().descriptor.digest);
    }
    let listed = attacher(&here).reader().referrers(&subject.digest).await;
    let listed: BTreeSet<_> = listed.found().unwrap().iter().map(|entry| entry.digest).collect();
    assert_eq!(listed, expected);
}

/// cosign reads, appends and writes, and does not look again. It may lose its
/// own; what we attach beside it stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_cosign_nothing_of_ours_is_lost() {
    let Some(peers) = require(&["cosign"]) else { return };
    let Some(distribution) = docker_registry() else { return };
    let keys = Keys::make(&peers, "cosign");
    let here = repository(distribution.host(), "acme/payouts");
    let (subject, image) = push(&here).await;
    let theirs: Vec<_> = (0..4)
        .map(|n| {
            let mut command = keys.attest(&peers, &image, &format!("https://example.com/cosign/{n}"));
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    let writers = (0..4).map(|n| {
        let (attacher, subject) = (attacher(&here), subject.clone());
        tokio::spawn(async move {
            let mut attached = Vec::new();
            for part in 0..4 {
                attached.push(attacher.attach(&subject, &artifact(10 * n + part)).await?);
            }
            Ok::<_, plimsoll_registry::client::Error>(attached)
        })
    });
    let mut ours = BTreeSet::new();
    for attached in join_all(writers).await {
        ours.extend(attached.unwrap().unwrap().into_iter().map(|one| one.descriptor.digest));
    }
    for mut child in theirs {
        assert!(child.wait().unwrap().success());
    }
    let evidence = attacher(&here).reader().evidence(&subject.digest, &Wanted::default()).await;
    let found = evidence.referrers.found().unwrap();
    let listed: BTreeSet<_> = found.iter().map(|referrer| referrer.descriptor.digest).collect();
    assert!(listed.is_superset(&ours), "{} of {}", listed.intersection(&ours).count(), ours.len());
    assert!(found.iter().all(|referrer| matches!(referrer.content, Lookup::Found(_))));
}
