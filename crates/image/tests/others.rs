//! Images that others make: imports, Dockerfiles (BLD-3); and building again
//! (BLD-2).
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Setting, copy, installed, native, recorder, run, setting, shell, skip, tool};
use plimsoll_image::{
    Builder, Compression, DockerfileSpec, Error, ImageSpec, LayoutSpec, Paths, Recipe, compare, rebuild,
};
use plimsoll_model::{Commit, Diagnose, Digest, Silent};

/// A store with one image, in a directory that a repository can commit.
fn other_image(name: &str) -> (Setting, Digest) {
    let s = setting();
    s.repo.write("file", name);
    let commit = s.repo.commit("one");
    let image = s.build(s.request(&commit, None, native(vec![copy("file", "/file")]))).unwrap();
    (s, image.manifest().digest)
}

fn copy_tree(from: &Path, to: &Path) {
    tool("cp", &["-r", from.to_str().unwrap(), to.to_str().unwrap()]);
}

fn imported(s: &Setting, commit: &Commit, path: &str) -> Result<plimsoll_image::BuiltImage, Error> {
    let recipe = Recipe::Layout(LayoutSpec { path: path.into(), reference: None });
    s.build(s.request_for(commit, shell("true"), recipe))
}

#[test]
fn bld_3_an_oci_layout_directory_and_archives_are_imported() {
    let (other, digest) = other_image("x");
    let s = setting();
    copy_tree(other.layout.path(), &s.repo.path().join("out"));
    let mut paths = vec!["out", "o*t"];
    if installed("skopeo") {
        let from = format!("oci:{}", other.layout.path().display());
        for (kind, file) in [("oci-archive", "oci.tar"), ("docker-archive", "docker.tar")] {
            let to = format!("{kind}:{}", s.repo.path().join(file).display());
            tool("skopeo", &["--insecure-policy", "copy", &from, &to]);
            paths.push(file);
        }
    } else {
        skip("skopeo");
    }
    let commit = s.repo.commit("image");
    for path in paths {
        let image = imported(&s, &commit, path).unwrap();
        assert_eq!(
            (image.builder(), image.compressor(), image.layers().len()),
            (Builder::Imported, None, 1),
            "{path}"
        );
        if path != "docker.tar" {
            assert_eq!(image.manifest().digest, digest, "{path}: the digest is the other tool's");
        }
        assert_eq!(image.layers()[0].diff_id(), other_diff_id(&other), "{path}");
        assert_eq!(s.layout.resolve(commit.as_str()).unwrap().unwrap().digest, image.manifest().digest);
    }
}

fn other_diff_id(other: &Setting) -> Digest {
    let (_, descriptor) = other.layout.refs().unwrap().remove(0);
    let manifest =
        plimsoll_oci::Manifest::parse(&other.layout.read_blob(&descriptor.digest, 1 << 20).unwrap()).unwrap();
    let config = other.layout.read_blob(&manifest.config.digest, 1 << 20).unwrap();
    plimsoll_oci::ImageConfig::parse(&config).unwrap().rootfs.diff_ids[0]
}

#[test]
fn what_is_no_image_is_not_imported() {
    let s = setting();
    s.repo.write("text.tar", "no archive");
    s.repo.write("dir/file", "no layout");
    s.repo.write("many/a.tar", "a");
    s.repo.write("many/b.tar", "b");
    std::os::unix::fs::symlink("/etc", s.repo.path().join("etc")).unwrap();
    let commit = s.repo.commit("one");
    for (path, code) in [
        ("none.tar", "BLD-030"),
        ("*.none", "BLD-031"),
        ("many/*.tar", "BLD-031"),
        ("etc/passwd", "BLD-032"),
        ("text.tar", "BLD-042"),
        ("dir", "BLD-042"),
    ] {
        assert_eq!(imported(&s, &commit, path).unwrap_err().code(), code, "{path}");
    }
    assert_eq!(s.layout.refs().unwrap(), []);
}

#[test]
fn bld_2_rebuilding_names_the_first_difference() {
    let s = setting();
    s.repo.write("fixed", "x");
    let commit = s.repo.commit("one");
    let state = s.dir.path().join("state");
    let build = |content: &str, spec: ImageSpec, expected: Option<Digest>| {
        fs::write(&state, content).unwrap();
        let command = format!("mkdir out; cat {} > out/b; echo a > out/a", state.display());
        let request = s.request(&commit, shell(&command), spec);
        match expected {
            None => s.build(request),
            Some(expected) => run(rebuild(&s.repo.source(), request, expected, &s.layout, Arc::new(Silent))),
        }
    };
    let spec = || native(vec![copy("fixed", "/fixed"), copy("out", "/out")]);
    let first = build("1", spec(), None).unwrap();
    let digest = first.manifest().digest;
    assert_eq!(build("1", spec(), Some(digest)).unwrap().manifest().digest, digest);
    let says = |content: &str, spec: ImageSpec, expected: &str| {
        let error = build(content, spec, Some(digest)).unwrap_err();
        assert_eq!((error.code(), error.class().exit_code()), ("BLD-060", 4));
        assert!(error.to_string().ends_with(expected), "{error}");
    };
    says("2", spec(), "layer 1 differs: `out/b` has other content");
    says("1", ImageSpec { user: Some("1".into()), ..spec() }, "the configuration differs in config.User");
    says("1", ImageSpec { compression: Compression::Zstd, ..spec() }, "compressed by another version");
    says("1", native(vec![copy("fixed", "/fixed")]), "1 layers instead of 2");
    let mut moded = spec();
    moded.copies[0].mode = Some(0o600);
    let error = build("1", moded, Some(digest)).unwrap_err().to_string();
    assert!(
        error.contains("layer 0 differs: `fixed` is File 600") && error.contains("instead of File 644"),
        "{error}"
    );
    let gone = Digest::from_sha256([1; 32]);
    let error = build("1", spec(), Some(gone)).unwrap_err();
    assert!(error.to_string().contains("not in the local store"), "{error}");
    // The recorded image keeps its tag.
    assert_eq!(s.layout.resolve(commit.as_str()).unwrap().unwrap().digest, digest);
    assert!(compare(&s.layout, digest, gone).is_err());
}

#[test]
fn bld_1_without_a_namespace_the_working_directory_is_not_above_the_checkout() {
    let s = setting();
    s.repo.write("file", "x");
    let commit = s.repo.commit("one");
    s.repo.write("uncommitted", "x");
    let observer = recorder();
    let look = "d=$PWD; while [ $d != / ]; do [ -e $d/uncommitted ] && echo found; d=$(dirname $d); done; git describe --always || true";
    let spec = Recipe::Native(Box::new(native(vec![copy("file", "/file")])));
    let mut request = s.request_for(&commit, shell(look), spec);
    (request.enter, request.work_dir) = (None, s.repo.path().join(".plimsoll/tmp"));
    let image = s.observed(request, observer.clone()).unwrap();
    assert_eq!(image.paths(), Paths::Checkout);
    let lines = observer.lines();
    assert!(!lines.contains(&"found".into()), "{lines:?}");
    assert!(!lines.iter().any(|line| commit.as_str().starts_with(line.as_str())), "{lines:?}");
}

fn dockerfile(host: &str) -> DockerfileSpec {
    DockerfileSpec {
        path: "build/Dockerfile".into(),
        target: None,
        args: BTreeMap::from([("NAME".into(), "given".into())]),
        timeout: Duration::from_secs(120),
        host: Some(host.into()),
    }
}

/// FROM scratch, so that nothing is downloaded.
fn write_context(s: &Setting) -> Commit {
    let text =
        "FROM scratch\nARG NAME=default\nCOPY data /data\nENV NAME=$NAME\nENTRYPOINT [\"/data/app\"]\n";
    s.repo.write("build/Dockerfile", text);
    s.repo.write("build/Broken", "FROM scratch\nCOPY none /none\n");
    s.repo.write("build/Nonsense", "FRUM scratch\n");
    s.repo.write("data/app", "app");
    s.repo.write("data/secret", "secret");
    s.repo.write(".dockerignore", "data/secret\n");
    s.repo.commit("one")
}

fn builds_with(host: &str, builder: Builder) {
    let s = setting();
    let commit = write_context(&s);
    s.repo.write("data/untracked", "x");
    let observer = recorder();
    let request = s.request_for(&commit, None, Recipe::Dockerfile(dockerfile(host)));
    let image = s.observed(request, observer.clone()).unwrap();
    assert_eq!(image.builder(), builder);
    let (_, config) = s.config(&image);
    assert_eq!((config.architecture.as_str(), config.os.as_str()), ("amd64", "linux"));
    assert_eq!(config.config.entrypoint, ["/data/app"]);
    assert!(config.config.env.contains(&"NAME=given".into()), "{:?}", config.config.env);
    let mut paths = Vec::new();
    for layer in image.layers() {
        let mut reader =
            plimsoll_oci::LayerReader::open(&s.layout, layer.descriptor(), None, Default::default()).unwrap();
        while let Some(entry) = reader.next_entry().unwrap() {
            paths.push(entry.path.display().to_string());
        }
    }
    assert!(paths.iter().any(|path| path.ends_with("data/app")), "{paths:?}");
    assert!(!paths.iter().any(|path| path.contains("secret") || path.contains("untracked")), "{paths:?}");
    assert!(observer.lines().iter().any(|line| line.contains("FROM scratch")), "{:?}", observer.lines());
    for (path, code) in
        [("build/Broken", "BLD-051"), ("build/Nonsense", "BLD-051"), ("build/None", "BLD-030")]
    {
        let spec = DockerfileSpec { path: path.into(), ..dockerfile(host) };
        let error = s.build(s.request_for(&commit, None, Recipe::Dockerfile(spec))).unwrap_err();
        assert_eq!(error.code(), code, "{path}: {error}");
    }
}

const NO_ENGINE: &str = "unix:///nonexistent/engine.sock";

#[test]
fn bld_3_buildah_builds_a_dockerfile() {
    if !installed("buildah") {
        return skip("buildah");
    }
    builds_with(NO_ENGINE, Builder::Buildah);
}

/// A container engine of our own: its data, socket and process end with it.
struct Engine {
    child: Child,
    dir: tempfile::TempDir,
}

impl Engine {
    fn start() -> Option<Self> {
        if !nix::unistd::getuid().is_root() || !installed("dockerd") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new("dockerd")
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["--host", &format!("unix://{}", at("sock")), "--storage-driver", "vfs"])
            .args(["--bridge", "none", "--iptables=false", "--ip6tables=false"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let engine = Self { child, dir };
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if std::os::unix::net::UnixStream::connect(engine.dir.path().join("sock")).is_ok() {
                return Some(engine);
            }
            if Instant::now() > deadline {
                let log = fs::read_to_string(engine.dir.path().join("log")).unwrap();
                panic!("dockerd does not start:\n{log}");
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).ok();
        self.child.wait().ok();
    }
}

#[test]
fn bld_3_an_engine_builds_a_dockerfile() {
    let Some(engine) = Engine::start() else { return skip("dockerd and root") };
    let host = format!("unix://{}", engine.dir.path().join("sock").display());
    builds_with(&host, Builder::Engine);
    // Nothing of ours stays in the engine.
    let images = tool("docker", &["--host", &host, "images", "--quiet"]);
    assert_eq!(images, "");
}

#[test]
fn without_any_builder_it_says_what_was_tried() {
    if installed("buildah") {
        // Then there is a builder; the message is composed of the same parts.
        return;
    }
    let s = setting();
    let commit = write_context(&s);
    let request = s.request_for(&commit, None, Recipe::Dockerfile(dockerfile(NO_ENGINE)));
    let error = s.build(request).unwrap_err();
    assert_eq!(error.code(), "BLD-050");
    assert!(error.found().unwrap().contains("/nonexistent/engine.sock"));
}
