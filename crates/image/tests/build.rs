//! Whole builds, with the build command in its own namespace where the system
//! allows one (BLD-1, BLD-2).
//!
//! This test has its own `main`, since the program under test calls itself:
//! see `plimsoll_image::enter`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use common::{copy, installed, native, recorder, setting, shell, skip, tool};
use plimsoll_image::{BaseImage, Compression, Error, FileCopy, ImageSpec, Paths, enter};
use plimsoll_model::{Diagnose, Digest};
use plimsoll_oci::{Descriptor, ImageConfig, Index, Manifest, media_type};

type Test = (&'static str, fn());

macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name as fn())),*] };
}

const TESTS: &[Test] = tests![
    bld_1_the_command_sees_the_commit_and_little_else,
    bld_1_reusing_a_target_is_recorded,
    bld_2_same_digest_in_other_directories_at_other_times,
    bld_2_a_rust_program_that_embeds_its_paths,
    bld_4_a_base_that_is_no_linux_amd64_image_is_refused,
    a_base_image_is_built_upon,
    a_failing_command_shows_its_last_lines,
    a_command_that_hangs_is_stopped_with_all_its_processes,
    cancelling_stops_the_command,
    a_killed_parent_takes_the_command_along,
    copies_place_files_where_they_belong,
    wrong_copies_are_refused,
    hostile_configuration_is_refused,
    skopeo_and_umoci_read_the_image,
];

/// A small version of the test harness's command line.
fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    if args.first().is_some_and(|arg| arg == enter::ARGUMENT) {
        return ExitCode::from(enter::main(args.into_iter().skip(1)));
    }
    if args.first().is_some_and(|arg| arg == "build-and-hang") {
        build_and_hang(Path::new(&args[1]));
        return ExitCode::SUCCESS;
    }
    let words: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    if words.iter().any(|word| word == "--list") {
        TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let exact = words.iter().any(|word| word == "--exact");
    let filters: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| {
        filters.is_empty() || filters.iter().any(|f| if exact { name == **f } else { name.contains(&**f) })
    };
    let mut failed = 0;
    for (name, test) in TESTS.iter().filter(|(name, _)| wanted(name)) {
        let result = std::panic::catch_unwind(test);
        println!("test {name} ... {}", if result.is_ok() { "ok" } else { "FAILED" });
        failed += usize::from(result.is_err());
    }
    ExitCode::from(u8::from(failed > 0))
}

fn bld_1_the_command_sees_the_commit_and_little_else() {
    let s = setting();
    s.repo.write("committed", "x");
    let commit = s.repo.commit("one");
    s.repo.write("untracked", "x");
    let observer = recorder();
    let mut command = shell("ls; pwd; env | sort; cat /proc/self/stat | cut -d' ' -f5; id -u").unwrap();
    command.env = BTreeMap::from([("MINE".into(), "1".into()), ("TZ".into(), "CET".into())]);
    let image = s
        .observed(s.request(&commit, Some(command), native(vec![copy("committed", "/c")])), observer.clone())
        .unwrap();
    let lines = observer.lines();
    let has = |text: &str| lines.iter().any(|line| line == text);
    assert!(has("committed") && !has("untracked"), "{lines:?}");
    for expected in [
        "MINE=1",
        "TZ=CET",
        "LC_ALL=C.UTF-8",
        "CARGO_INCREMENTAL=0",
        "SOURCE_DATE_EPOCH=1767323045",
        &format!("PLIMSOLL_COMMIT={commit}"),
        &format!("PLIMSOLL_SHORT_SHA={}", commit.short()),
    ] {
        assert!(has(expected), "{expected} not in {lines:?}");
    }
    // Set by cargo for this test itself.
    assert!(!lines.iter().any(|line| line.starts_with("CARGO_MANIFEST_DIR=")));
    if image.paths() == Paths::Constant {
        assert!(has(enter::SOURCE), "{lines:?}");
    }
    // The command keeps its user: it is not root in a namespace.
    assert_eq!(lines.last().unwrap(), &nix::unistd::getuid().to_string());
    assert!(image.clean());
    assert_eq!(s.layout.resolve(commit.as_str()).unwrap().unwrap().digest, image.manifest().digest);
    assert_eq!(fs::read_dir(s.dir.path().join("tmp")).unwrap().count(), 0, "the checkout is left");
}

fn bld_1_reusing_a_target_is_recorded() {
    let s = setting();
    let commit = s.repo.commit("one");
    let make = || {
        let command = shell("echo x >> $CARGO_TARGET_DIR/count; cp $CARGO_TARGET_DIR/count .");
        let mut request = s.request(&commit, command, native(vec![copy("count", "/count")]));
        request.reuse_target = Some(s.dir.path().join("target"));
        s.build(request).unwrap()
    };
    assert!(!make().clean());
    assert_eq!(s.files(&make())["count"].2, b"x\nx\n");
}

fn bld_2_same_digest_in_other_directories_at_other_times() {
    let mut digests = Vec::new();
    for compression in [Compression::Gzip, Compression::Zstd] {
        let mut same: Vec<Digest> = Vec::new();
        for round in 0..2 {
            let s = setting();
            s.repo.write("data/one", "1");
            s.repo.write("data/two", "2");
            symlink("one", s.repo.path().join("data/link")).unwrap();
            let commit = s.repo.commit("one");
            // Another umask, another order of creation, other times.
            let files = if round == 0 { "a b c" } else { "c b a" };
            let umask = if round == 0 { "022" } else { "077" };
            let command = format!(
                "umask {umask}; mkdir out; for f in {files}; do echo $f > out/$f; done; pwd > out/pwd"
            );
            let command = if allowed() { command } else { command.replace("pwd > out/pwd", "true") };
            let mut spec = native(vec![copy("out", "/opt/out"), copy("data", "/opt/data")]);
            spec.compression = compression;
            spec.env = BTreeMap::from([("B".into(), "2".into()), ("A".into(), "1".into())]);
            spec.labels = BTreeMap::from([("l".into(), "v".into())]);
            let image = s.build(s.request(&commit, shell(&command), spec)).unwrap();
            assert_eq!(image.compressor(), Some(&compression.compressor()));
            same.push(image.manifest().digest);
        }
        assert_eq!(same[0], same[1]);
        digests.push(same[0]);
    }
    assert_ne!(digests[0], digests[1]);
}

/// Whether this system lets us have a mount namespace.
fn allowed() -> bool {
    let s = setting();
    s.repo.write("a", "x");
    let commit = s.repo.commit("one");
    let image = s.build(s.request(&commit, shell("true"), native(vec![copy("a", "/a")]))).unwrap();
    image.paths() == Paths::Constant
}

/// What the compiler writes of its surroundings: the crate's directory, that of
/// generated code, panic locations, debug information.
fn bld_2_a_rust_program_that_embeds_its_paths() {
    let mut results = Vec::new();
    for enclosed in [true, true, false, false] {
        let s = setting();
        s.repo.write("Cargo.toml", "[package]\nname = 'tiny'\nversion = '0.1.0'\nedition = '2024'\n[profile.release]\ndebug = 1\n[workspace]\n");
        s.repo.write("Cargo.lock", "version = 4\n[[package]]\nname = 'tiny'\nversion = '0.1.0'\n");
        s.repo.write("build.rs", "fn main() { let out = std::env::var(\"OUT_DIR\").unwrap(); std::fs::write(format!(\"{out}/made.rs\"), \"pub fn made() -> &'static str { file!() }\").unwrap(); }\n");
        let paths = if enclosed {
            "println!(\"{} {}\", env!(\"CARGO_MANIFEST_DIR\"), made());"
        } else {
            "let _ = made();"
        };
        s.repo.write("src/main.rs", format!("include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));\nfn main() {{ {paths} let n: Option<u32> = std::env::args().nth(1).and_then(|a| a.parse().ok()); println!(\"{{}}\", n.expect(\"a number\")); }}\n"));
        if !enclosed {
            // Without constant paths the promise is for what embeds none.
            s.repo.write("build.rs", "fn main() {}\n");
            s.repo.write("src/main.rs", "fn main() { let n: Option<u32> = std::env::args().nth(1).and_then(|a| a.parse().ok()); println!(\"{}\", n.expect(\"a number\")); }\n");
            let manifest =
                fs::read_to_string(s.repo.path().join("Cargo.toml")).unwrap().replace("debug = 1", "");
            s.repo.write("Cargo.toml", manifest);
        }
        let commit = s.repo.commit("one");
        let spec = native(vec![copy("target/release/tiny", "/tiny")]);
        let mut request = s.request(&commit, shell("cargo build --release --locked --offline"), spec);
        if !enclosed {
            request.enter = None;
        }
        let image = s.build(request).unwrap();
        if enclosed && image.paths() == Paths::Checkout {
            return skip("a system that allows mount namespaces");
        }
        results.push((enclosed, image.manifest().digest, s.files(&image)["tiny"].2.clone()));
    }
    assert!(results[0].2 == results[1].2, "the programs differ");
    assert_eq!(results[0].1, results[1].1);
    assert_eq!(results[2].1, results[3].1, "outside of a namespace");
    let text = String::from_utf8_lossy(&results[0].2).into_owned();
    assert!(text.contains(enter::SOURCE), "the path is not even in it");
}

fn bld_4_a_base_that_is_no_linux_amd64_image_is_refused() {
    let s = setting();
    s.repo.write("a", "x");
    let commit = s.repo.commit("one");
    let with = |digest: Digest| {
        let reference = format!("r.example/base@{digest}").parse().unwrap();
        let spec =
            ImageSpec { base: Some(BaseImage::new(reference).unwrap()), ..native(vec![copy("a", "/a")]) };
        s.build(s.request(&commit, None, spec)).unwrap_err()
    };
    let (index, _) = s.layout.put(&Index::oci(vec![]).to_bytes()).unwrap();
    assert!(matches!(with(index), Error::BaseUnusable { source: plimsoll_oci::Error::IsIndex { .. } }));
    let mut config = ImageConfig::linux_amd64();
    config.architecture = "arm64".into();
    let (digest, size) = s.layout.put(&config.to_bytes()).unwrap();
    let manifest = Manifest::oci(Descriptor::new(media_type::OCI_CONFIG, digest, size), vec![]);
    let (arm, _) = s.layout.put(&manifest.to_bytes()).unwrap();
    assert!(matches!(with(arm), Error::BaseUnusable { source: plimsoll_oci::Error::WrongPlatform { .. } }));
    assert!(matches!(with(Digest::from_sha256([7; 32])), Error::BaseMissing { .. }));
    assert_eq!(s.layout.resolve(commit.as_str()).unwrap(), None, "a failed build leaves no tag");
    let tagged = "r.example/base:latest".parse().unwrap();
    assert!(matches!(BaseImage::new(tagged), Err(Error::BadValue { .. })));
}

fn a_base_image_is_built_upon() {
    let s = setting();
    s.repo.write("lib.so", "new");
    s.repo.write("rootfs/usr/lib/old.so", "old");
    s.repo.write("rootfs/etc/conf", "c");
    symlink("usr/lib", s.repo.path().join("rootfs/lib")).unwrap();
    let commit = s.repo.commit("one");
    let base = ImageSpec {
        entrypoint: vec!["/old".into()],
        cmd: vec!["--old".into()],
        env: BTreeMap::from([("PATH".into(), "/bin".into()), ("KEEP".into(), "1".into())]),
        user: Some("7".into()),
        compression: Compression::Zstd,
        ..native(vec![copy("rootfs", "/")])
    };
    let base = s.build(s.request(&commit, None, base)).unwrap();
    let reference = format!("r.example/base@{}", base.manifest().digest).parse().unwrap();
    let spec = ImageSpec {
        base: Some(BaseImage::new(reference).unwrap()),
        entrypoint: vec!["/new".into()],
        env: BTreeMap::from([("PATH".into(), "/new/bin".into()), ("ADDED".into(), "1".into())]),
        ports: vec!["8080".into(), "53/udp".into()],
        ..native(vec![copy("lib.so", "/lib/")])
    };
    let image = s.build(s.request(&commit, None, spec)).unwrap();
    let (manifest, config) = s.config(&image);
    assert_eq!(manifest.layers[0], *base.layers()[0].descriptor());
    assert_eq!(manifest.layers.len(), 2);
    assert_eq!(config.config.entrypoint, ["/new"]);
    assert!(config.config.cmd.is_empty(), "the base's command is for the base's entrypoint");
    assert_eq!(config.config.env, ["KEEP=1", "PATH=/new/bin", "ADDED=1"]);
    assert_eq!(config.config.user, "7");
    assert_eq!(config.config.exposed_ports.iter().collect::<Vec<_>>(), ["53/udp", "8080/tcp"]);
    assert_eq!(config.history.len(), 2);
    let label = |key: &str| config.config.labels[&format!("org.opencontainers.image.{key}")].clone();
    assert_eq!(label("revision"), commit.as_str());
    assert_eq!(label("created"), "2026-01-02T03:04:05Z");
    assert_eq!(label("base.digest"), base.manifest().digest.to_string());
    let paths: Vec<String> = {
        let layer = image.layers().last().unwrap().clone();
        let blob = s.layout.open_blob(layer.descriptor()).unwrap();
        let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(blob));
        archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect()
    };
    // `/lib` is a link in the base; neither it nor its target is replaced.
    assert_eq!(paths, ["usr/lib/lib.so"]);
    assert!(image.compressed_size() > base.compressed_size());
}

fn a_failing_command_shows_its_last_lines() {
    let s = setting();
    let commit = s.repo.commit("one");
    let command = shell("for i in $(seq 100); do echo line $i; done; echo oops >&2; exit 3");
    let error = s.build(s.request(&commit, command, ImageSpec::default())).unwrap_err();
    assert_eq!(error.to_string(), "the build command ended with exit code 3");
    assert_eq!((error.code(), error.class().exit_code()), ("BLD-020", 1));
    assert_eq!(error.tail().len(), 50);
    assert!(error.tail().contains(&"oops".into()) && error.tail().contains(&"line 100".into()));
}

/// A file that a process locks as long as it lives.
fn is_alive(pid_file: &Path) -> bool {
    let pid = fs::read_to_string(pid_file).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Polls, with a deadline.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

/// Starts a grandchild that ignores SIGTERM and outlives its parent.
fn stubborn(pid_file: &Path) -> String {
    format!(
        "sh -c 'trap \"\" TERM; echo $$ > {0}.new; mv {0}.new {0}; sleep 60; sleep 60' & wait",
        pid_file.display()
    )
}

fn a_command_that_hangs_is_stopped_with_all_its_processes() {
    let s = setting();
    let commit = s.repo.commit("one");
    let pid = s.dir.path().join("pid");
    let mut command = shell(&stubborn(&pid)).unwrap();
    command.timeout = Duration::from_millis(700);
    let error = s.build(s.request(&commit, Some(command), ImageSpec::default())).unwrap_err();
    assert!(matches!(error, Error::CommandTimeout { .. }), "{error:?}");
    eventually("the grandchild lives on", || !is_alive(&pid));
}

fn cancelling_stops_the_command() {
    let s = setting();
    let commit = s.repo.commit("one");
    let pid = s.dir.path().join("pid");
    let request = s.request(&commit, shell(&stubborn(&pid)), ImageSpec::default());
    let cancel = request.cancel.clone();
    let waiting = pid.clone();
    let canceller = std::thread::spawn(move || {
        eventually("the command does not start", || waiting.exists());
        cancel.cancel();
    });
    let error = s.build(request).unwrap_err();
    canceller.join().unwrap();
    assert!(matches!(error, Error::Interrupted), "{error:?}");
    eventually("the grandchild lives on", || !is_alive(&pid));
}

/// The other side of the next test: a build that its parent kills.
fn build_and_hang(pid: &Path) {
    let s = setting();
    let commit = s.repo.commit("one");
    let command = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 60", pid.display());
    let result = s.build(s.request(&commit, shell(&command), ImageSpec::default()));
    println!("{result:?}");
}

fn a_killed_parent_takes_the_command_along() {
    if !allowed() {
        return skip("a system that allows mount namespaces");
    }
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .arg("build-and-hang")
        .arg(&pid)
        .env("TMPDIR", dir.path())
        .spawn()
        .unwrap();
    eventually("the command does not start", || pid.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the command lives on", || !is_alive(&pid));
}

fn copies_place_files_where_they_belong() {
    use tar::EntryType::{Directory, Regular, Symlink};
    let s = setting();
    for path in
        ["dist/a.js", "dist/sub/b.js", "dist/sub/c.css", "dist/d{e}.txt", "conf/app.toml", "conf/x[1]"]
    {
        s.repo.write(path, path);
    }
    let tool = s.repo.write("bin/tool", "t");
    fs::set_permissions(tool, fs::Permissions::from_mode(0o755)).unwrap();
    symlink("tool", s.repo.path().join("bin/alias")).unwrap();
    symlink(format!("{}/bin/tool", enter::SOURCE), s.repo.path().join("bin/absolute")).unwrap();
    let long = format!("deep/{}/{}", "d".repeat(90), "f".repeat(150));
    s.repo.write(&long, "long");
    let commit = s.repo.commit("one");
    let mut moded = copy("conf/app.toml", "/etc/app.toml");
    moded.mode = Some(0o600);
    let image = s
        .build(s.request(
            &commit,
            None,
            native(vec![
                copy("bin/tool", "/usr/bin/renamed"),
                copy("bin/alias", "/usr/bin/"),
                copy("bin/absolute", "/usr/bin/followed"),
                copy("bin", "/opt/bin"),
                copy("dist/**/*.js", "/srv/js"),
                copy("dist/*.txt", "/srv/txt/"),
                copy("dist/s*", "/srv/sub"),
                copy("conf/x[1]", "/etc/literal"),
                moded,
                copy("deep", "/deep"),
            ]),
        ))
        .unwrap();
    let files = s.files(&image);
    for (path, kind, mode, content) in [
        ("usr/", Directory, 0o755, ""),
        ("usr/bin/renamed", Regular, 0o755, "t"),
        ("usr/bin/alias", Regular, 0o755, "t"),
        ("usr/bin/followed", Regular, 0o755, "t"),
        ("opt/bin/tool", Regular, 0o755, "t"),
        ("opt/bin/alias", Symlink, 0o777, "tool"),
        ("srv/js/a.js", Regular, 0o644, "dist/a.js"),
        ("srv/js/sub/b.js", Regular, 0o644, "dist/sub/b.js"),
        ("srv/txt/d{e}.txt", Regular, 0o644, "dist/d{e}.txt"),
        ("srv/sub/sub/c.css", Regular, 0o644, "dist/sub/c.css"),
        ("etc/literal", Regular, 0o644, "conf/x[1]"),
        ("etc/app.toml", Regular, 0o600, "conf/app.toml"),
        (&*long, Regular, 0o644, "long"),
    ] {
        let found = files.get(path).unwrap_or_else(|| panic!("{path} not in {:?}", files.keys()));
        assert_eq!((found.0, found.1, &*found.2), (kind, mode, content.as_bytes()), "{path}");
    }
    assert!(!files.contains_key("srv/js/sub/c.css"));
    assert!(files.keys().all(|path| !path.starts_with('/') && !path.contains("..")));
}

fn wrong_copies_are_refused() {
    let s = setting();
    s.repo.write("a", "x");
    s.repo.write("dir/b", "x");
    s.repo.write("w/.wh.a", "x");
    symlink("/etc", s.repo.path().join("etc")).unwrap();
    symlink("../../..", s.repo.path().join("dir/up")).unwrap();
    let commit = s.repo.commit("one");
    let make = |copies: Vec<FileCopy>| {
        s.build(s.request(&commit, shell("mkfifo fifo"), native(copies))).unwrap_err()
    };
    let one = |from: &str, to: &str| make(vec![copy(from, to)]).code();
    for (from, to, code) in [
        ("none", "/a", "BLD-030"),
        ("", "/a", "BLD-030"),
        ("*.none", "/a", "BLD-031"),
        ("none/*", "/a", "BLD-031"),
        ("[", "/a", "BLD-031"),
        ("../a", "/a", "BLD-032"),
        ("/etc/passwd", "/a", "BLD-032"),
        ("etc/passwd", "/a", "BLD-032"),
        ("etc/*", "/a", "BLD-032"),
        ("dir/up/etc", "/a", "BLD-032"),
        ("fifo", "/a", "BLD-033"),
        ("f*", "/a", "BLD-033"),
        ("a", "a", "BLD-036"),
        ("a", "/x/../a", "BLD-036"),
        ("a", "//a", "BLD-036"),
        ("a", "/a\n", "BLD-036"),
        ("a", "/.wh.a", "BLD-036"),
        ("w", "/w", "BLD-036"),
    ] {
        assert_eq!(one(from, to), code, "{from:?} -> {to:?}");
    }
    let twice = make(vec![copy("a", "/x"), copy("dir/b", "/x")]);
    assert!(matches!(twice, Error::SamePath { .. }), "{twice:?}");
    for copies in [vec![copy("a", "/x"), copy("dir", "/x")], vec![copy("dir", "/x"), copy("a", "/x")]] {
        assert_eq!(make(copies).code(), "BLD-034");
    }
    assert_eq!(make(vec![copy("a", "/x"), copy("a", "/x/y")]).code(), "BLD-034");
}

fn hostile_configuration_is_refused() {
    let s = setting();
    let commit = s.repo.commit("one");
    let code = |spec: ImageSpec| s.build(s.request(&commit, shell("touch ran"), spec)).unwrap_err().code();
    let one = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let default = ImageSpec::default;
    for spec in [
        ImageSpec { user: Some("a b".into()), ..default() },
        ImageSpec { user: Some(String::new()), ..default() },
        ImageSpec { user: Some("1:2:3".into()), ..default() },
        ImageSpec { workdir: Some("relative".into()), ..default() },
        ImageSpec { ports: vec!["0".into()], ..default() },
        ImageSpec { ports: vec!["70000/tcp".into()], ..default() },
        ImageSpec { ports: vec!["+80".into()], ..default() },
        ImageSpec { ports: vec!["80/http".into()], ..default() },
        ImageSpec { labels: one("org.opencontainers.image.revision", "x"), ..default() },
        ImageSpec { labels: one("", "x"), ..default() },
        ImageSpec { entrypoint: vec!["a\0b".into()], ..default() },
    ] {
        assert_eq!(code(spec.clone()), "BLD-037", "{spec:?}");
    }
    for (name, value) in [("A=B", "1"), ("", "1"), ("A", "\0"), ("A\0", "")] {
        assert_eq!(code(ImageSpec { env: one(name, value), ..default() }), "BLD-023");
        let mut command = shell("true").unwrap();
        command.env = one(name, value);
        let error = s.build(s.request(&commit, Some(command), default())).unwrap_err();
        assert_eq!(error.code(), "BLD-023");
    }
    for name in ["PLIMSOLL_COMMIT", "SOURCE_DATE_EPOCH"] {
        let mut command = shell("true").unwrap();
        command.env = one(name, "1");
        assert_eq!(s.build(s.request(&commit, Some(command), default())).unwrap_err().code(), "BLD-023");
    }
    for (text, mode) in
        [("0755", Some(0o755)), ("644", Some(0o644)), ("0o4755", Some(0o4755)), ("0", Some(0))]
    {
        assert_eq!(plimsoll_image::parse_mode(text).ok(), mode);
    }
    for bad in ["", "rwx", "0888", "77777", "+755", "-1", "0x1ff", "000755"] {
        assert!(plimsoll_image::parse_mode(bad).is_err(), "{bad}");
    }
}

fn skopeo_and_umoci_read_the_image() {
    if !installed("skopeo") || !installed("umoci") {
        return skip("skopeo and umoci");
    }
    let s = setting();
    // More than one gzip member and zstd frame.
    let mut random = fastrand::Rng::with_seed(1);
    let content: Vec<u8> = (0..3_500_000).map(|_| random.u8(..) & 0x3f).collect();
    s.repo.write("data/large", &content);
    s.repo.write("data/small", "s");
    let commit = s.repo.commit("one");
    for compression in [Compression::Gzip, Compression::Zstd] {
        let spec = ImageSpec { compression, ..native(vec![copy("data", "/data")]) };
        let image = s.build(s.request(&commit, None, spec)).unwrap();
        let reference = format!("oci:{}:{commit}", s.layout.path().display());
        let seen = tool("skopeo", &["inspect", "--raw", &reference]);
        assert_eq!(plimsoll_oci::digest_of(seen.as_bytes()), image.manifest().digest);
        // Decompresses and recompresses every layer, checking each diff id.
        let out: PathBuf = s.dir.path().join(format!("{compression:?}"));
        let target = format!("dir:{}", out.display());
        tool("skopeo", &["--insecure-policy", "copy", "--dest-decompress", &reference, &target]);
        if compression == Compression::Gzip {
            let bundle = s.dir.path().join("bundle");
            let store = format!("{}:{commit}", s.layout.path().display());
            let args = ["unpack", "--rootless", "--image", &store, bundle.to_str().unwrap()];
            tool("umoci", &args);
            assert!(fs::read(bundle.join("rootfs/data/large")).unwrap() == content);
        }
    }
}
