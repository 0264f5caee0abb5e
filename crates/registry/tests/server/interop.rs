//! Other people's tools push to it and pull from it.

use std::path::Path;
use std::process::Command;

use plimsoll_oci::{Descriptor, ImageConfig, Layout, Manifest, media_type};
use plimsoll_testkit::peer;
use plimsoll_testkit::registry::TestRegistry;

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A layout with an image `v1` of one file; the manifest's digest.
fn image(folder: &Path) -> String {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(5);
    header.set_mode(0o644);
    tar.append_data(&mut header, "hello.txt", &b"hello"[..]).unwrap();
    let tar = tar.into_inner().unwrap();
    let layout = Layout::open_or_create(folder).unwrap();
    let layer = Descriptor::of(media_type::OCI_LAYER_TAR, &tar);
    let mut config = ImageConfig::linux_amd64();
    config.rootfs.diff_ids.push(layer.digest);
    let config = config.to_bytes();
    let manifest = Manifest::oci(Descriptor::of(media_type::OCI_CONFIG, &config), vec![layer]).to_bytes();
    for bytes in [&tar, &config, &manifest] {
        layout.put(bytes).unwrap();
    }
    let descriptor = Descriptor::of(media_type::OCI_MANIFEST, &manifest);
    let digest = descriptor.digest.to_string();
    layout.tag("v1", descriptor).unwrap();
    digest
}

#[test]
fn skopeo_copies_in_and_out_and_reads_the_folder() {
    let Some(peers) = peer::require(&["skopeo"]) else { return };
    let registry = TestRegistry::start();
    let folder = tempfile::tempdir().unwrap();
    let digest = image(&folder.path().join("in"));
    let at = |name: &str| format!("oci:{}:v1", folder.path().join(name).display());
    let here = format!("docker://{}/acme/a:v1", registry.host());
    let skopeo = || {
        let mut command = peers.command("skopeo");
        command.args(["--insecure-policy"]);
        command
    };
    run(skopeo().args(["copy", "--preserve-digests", "--dest-tls-verify=false", &at("in"), &here]));
    run(skopeo().args(["copy", "--preserve-digests", "--src-tls-verify=false", &here, &at("out")]));
    let out = Layout::open(folder.path().join("out")).unwrap().resolve("v1").unwrap().unwrap();
    assert_eq!(out.digest.to_string(), digest);
    let of_folder = format!("oci:{}:v1", registry.root().join("acme/a").display());
    for place in [&here, &of_folder] {
        let found = run(skopeo().args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}", place]));
        assert_eq!(found.trim(), digest, "{place}");
    }
    let tags = run(skopeo().args(["list-tags", "--tls-verify=false", here.trim_end_matches(":v1")]));
    assert!(tags.contains("\"v1\""), "{tags}");
    run(skopeo().args(["delete", "--tls-verify=false", &here]));
}

#[test]
fn docker_pushes_and_pulls() {
    let Some(peers) = peer::docker_engine() else { return };
    let registry = TestRegistry::start();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hello.txt"), "hello").unwrap();
    let name = format!("{}/acme/a:v1", registry.host());
    let docker = || peers.command("docker");
    let tar = folder.path().join("files.tar");
    run(Command::new("tar").arg("-C").arg(folder.path()).arg("-cf").arg(&tar).arg("hello.txt"));
    run(docker().arg("import").arg(&tar).arg(&name));
    run(docker().args(["push", &name]));
    let before = run(docker().args(["inspect", "--format", "{{.Id}}", &name]));
    run(docker().args(["rmi", "--force", &name]));
    run(docker().args(["pull", &name]));
    assert_eq!(run(docker().args(["inspect", "--format", "{{.Id}}", &name])), before);
    run(docker().args(["rmi", "--force", &name]));
}

#[test]
fn crane_pushes_and_pulls() {
    let Some(peers) = peer::require(&["crane"]) else { return };
    let registry = TestRegistry::start();
    let folder = tempfile::tempdir().unwrap();
    let digest = image(&folder.path().join("in"));
    let name = format!("{}/acme/a:v1", registry.host());
    let crane = || peers.command("crane");
    run(crane().args(["push", "--insecure"]).arg(folder.path().join("in")).arg(&name));
    assert_eq!(run(crane().args(["digest", "--insecure", &name])).trim(), digest);
    run(crane().args(["copy", "--insecure", &name, &name.replace("acme/a", "acme/b")]));
    run(crane().args(["pull", "--insecure", "--format", "oci", &name]).arg(folder.path().join("out")));
    assert!(Layout::open(folder.path().join("out")).unwrap().has(&digest.parse().unwrap()).unwrap());
    assert_eq!(run(crane().args(["catalog", "--insecure", &registry.host()])), "acme/a\nacme/b\n");
}

#[test]
fn oras_pushes_attaches_discovers_and_pulls() {
    let Some(peers) = peer::require(&["oras"]) else { return };
    let registry = TestRegistry::start();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hello.txt"), "hello").unwrap();
    let name = format!("{}/acme/a:v1", registry.host());
    let oras = |arguments: &[&str]| {
        let mut command = peers.command("oras");
        command.current_dir(folder.path()).args(arguments);
        run(&mut command)
    };
    oras(&["push", "--plain-http", &name, "hello.txt:text/plain"]);
    let kind = "application/vnd.test.note";
    oras(&["attach", "--plain-http", "--artifact-type", kind, &name, "hello.txt:text/plain"]);
    assert!(oras(&["discover", "--plain-http", "--format", "json", &name]).contains(kind));
    std::fs::remove_file(folder.path().join("hello.txt")).unwrap();
    oras(&["pull", "--plain-http", &name]);
    assert_eq!(std::fs::read_to_string(folder.path().join("hello.txt")).unwrap(), "hello");
}

#[test]
fn buildah_pushes_and_pulls() {
    let Some(peers) = peer::require(&["buildah"]) else { return };
    let registry = TestRegistry::start();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hello.txt"), "hello").unwrap();
    std::fs::write(
        folder.path().join("policy.json"),
        "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}",
    )
    .unwrap();
    let name = format!("docker://{}/acme/a:v1", registry.host());
    let buildah = |arguments: &[&str]| {
        let mut command = peers.command("buildah");
        command.args(["--root", "root", "--runroot", "run", "--storage-driver", "vfs"]).args(arguments);
        run(command.current_dir(folder.path())).trim().to_owned()
    };
    let policy = "--signature-policy=policy.json";
    let container = buildah(&["from", policy, "scratch"]);
    buildah(&["copy", "--quiet", &container, "hello.txt", "/hello.txt"]);
    let id = buildah(&["commit", policy, "--quiet", "--rm", &container]);
    buildah(&["push", policy, "--tls-verify=false", &id, &name]);
    buildah(&["rmi", "--force", &id]);
    assert_eq!(buildah(&["pull", policy, "--quiet", "--tls-verify=false", &name]), id);
}
