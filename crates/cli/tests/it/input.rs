//! Bad input: a clear error, the promised exit code, and nothing changed.

use std::io::Write;
use std::net::TcpListener;

use plimsoll_registry::server::{Credentials, Options};
use plimsoll_testkit::registry::Fault;

use crate::http::{self, complete};
use crate::world::{Run, World, free_address};

const REPOSITORY: &str = "acme/echo";

/// An error that says what, why, and what was and is to be done.
#[track_caller]
fn reads_well(run: &Run) {
    let text = &run.stderr;
    let errors = text.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 1, "{text}");
    assert!(text.contains("\nhint: "), "{text}");
    assert!(text.contains("plimsoll explain ") || text.contains("`plimsoll"), "{text}");
    // Nothing that only a programmer reads.
    for word in ["Some(", "None)", "Err(", "Os {", "panicked", "\\\""] {
        assert!(!text.contains(word), "`{word}` in {text}");
    }
    assert_eq!(run.stdout, "");
}

fn entries(world: &World) -> u64 {
    world.json(["ledger", "verify"])["report"]["entries"].as_u64().unwrap()
}

#[test]
fn names_that_can_move_are_refused() {
    let (world, first) = World::with_release();
    let before = entries(&world);
    let upper = first.as_str().to_uppercase();
    for name in ["latest", "main", "stable", "v1", "HEAD", first.short(), &upper, "", "sha256:1"] {
        for command in [
            vec!["deploy", name, "--env", "trial"],
            vec!["deploy", name, "--env", "trial", "--dry-run"],
            vec!["rollback", "--to", name, "--env", "trial"],
            vec!["push", name],
            vec!["show", name],
            vec!["verify", name],
        ] {
            let run =
                world.plimsoll(command.iter().copied()).exits(3).says(&["TAG-004", "nothing was touched"]);
            reads_well(&run);
        }
    }
    let tagged = format!("{}:latest", world.repository());
    world.plimsoll(["verify", &tagged]).exits(3).says(&["TAG-004"]);
    assert_eq!(entries(&world), before);
    world.runs_exactly(1);
}

#[test]
fn commits_that_are_not_there() {
    let mut world = World::new();
    let empty = tempfile::tempdir().unwrap();
    let mut command = world.command(["build"]);
    command.current_dir(empty.path());
    let run = world.start(command).wait().exits(2).says(&["plimsoll.toml"]);
    reads_well(&run);
    std::fs::copy(world.path().join("plimsoll.toml"), empty.path().join("plimsoll.toml")).unwrap();
    let mut command = world.command(["build"]);
    command.current_dir(empty.path());
    let run = world.start(command).wait().exits(2).says(&["repository"]);
    reads_well(&run);

    let first = world.release("first", "well");
    let unknown = "0123456789abcdef0123456789abcdef01234567";
    let upper = first.as_str().to_uppercase();
    for (rev, code, words) in [
        (unknown, 2, "no commit"),
        ("no-such-branch", 2, "no-such-branch"),
        (first.short(), 2, "shortened"),
        (&upper, 2, ""),
    ] {
        let run = world.plimsoll(["build", rev]);
        reads_well(&run.exits(code).says(&[words]));
    }
    reads_well(&world.plimsoll(["push", first.as_str()]).exits(2).says(&["PIP-004", "plimsoll build"]));
    reads_well(&world.plimsoll(["show", unknown]).exits(2).says(&["PIP-010"]));
    world
        .plimsoll(["deploy", first.as_str(), "--env", "trial"])
        .exits(3)
        .says(&["GRD-001", "nothing was touched"]);
    reads_well(
        &world
            .plimsoll(["deploy", first.as_str(), "--env", "trail"])
            .exits(2)
            .says(&["did you mean `trial`"]),
    );

    // A commit from before the service had a configuration.
    world.repo.branch("side");
    world.repo.git(&["rm", "--quiet", "--cached", "plimsoll.toml"]);
    world.repo.git(&["commit", "--quiet", "--message", "without"]);
    reads_well(&world.plimsoll(["build"]).exits(2).says(&["PIP-003", "plimsoll init"]));
    assert_eq!(entries(&world), 1, "the refused deployment alone is recorded");
    world.runs_exactly(0);
}

#[test]
fn a_dirty_tree_is_not_used_and_that_is_said() {
    let mut world = World::new();
    let first = world.release("first", "well");
    world.repo.write("behaviour", "MODE=exit\n");
    world.plimsoll(["build"]).exits(0).says(&["the working directory has changes", "are not built"]);
    world.plimsoll(["deploy", first.as_str(), "--env", "trial"]).exits(0);
    let quiet = world.plimsoll(["build", "--quiet"]).exits(0);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn images_that_cannot_be_made() {
    let mut world = World::new();
    let text = world.configuration();
    let copies = |more: &str| text.replace("[environments.trial]", &format!("{more}\n[environments.trial]"));
    let copy = |from: &str, to: &str| format!("[[image.copy]]\nfrom = \"{from}\"\nto = \"{to}\"\n");
    world.repo.write("nested/plimsoll", "x");
    std::os::unix::fs::symlink("/etc/passwd", world.path().join("outside")).unwrap();
    http::put_image(&world.registry.host(), "acme/base", "12", "amd64");
    let cases: Vec<(&str, String, &[i32], &[&str])> = vec![
        ("missing from", copies(&copy("not-there", "/x")), &[1, 2], &["not-there"]),
        ("glob without match", copies(&copy("*.none", "/x/")), &[1, 2], &["*.none"]),
        ("leaves the checkout", copies(&copy("../../etc/passwd", "/x")), &[2], &["../../etc/passwd"]),
        ("absolute from", copies(&copy("/etc/passwd", "/x")), &[2], &["/etc/passwd"]),
        ("a link that leaves", copies(&copy("outside/", "/x")), &[1, 2], &["outside"]),
        ("one path in two layers", copies(&copy("behaviour", "/service")), &[1, 2], &["/service"]),
        ("unknown key", text.replace("entrypoint =", "entrypiont ="), &[2], &["entrypiont", "entrypoint"]),
        (
            "tag as base",
            text.replace("\"scratch\"", &format!("\"{}/acme/base:12\"", world.registry.host())),
            &[2, 5],
            &["sha256:"],
        ),
        (
            "build fails",
            text.replace("command = \"", "command = \"echo broken pipe dream; exit 7; "),
            &[1],
            &["7", "broken pipe dream"],
        ),
        (
            "build too slow",
            text.replace("timeout = \"1m\"", "timeout = \"1s\"")
                .replace("command = \"", "command = \"sleep 60; "),
            &[1],
            &["within 1 s"],
        ),
    ];
    for (name, toml, codes, words) in cases {
        world.repo.write("plimsoll.toml", &toml);
        let sha = world.release(name, "well");
        // What the working copy says is not what is built.
        world.repo.write("plimsoll.toml", &text);
        let run = world.plimsoll(["build"]);
        assert!(codes.contains(&run.code()), "{name}: exit {}\n{}", run.code(), run.stderr);
        let run = run.says(words);
        if !name.starts_with("build ") {
            reads_well(&run);
        }
        assert_eq!(complete(&world.registry.host(), REPOSITORY, sha.as_str()), None, "{name}");
    }
    world.repo.write("plimsoll.toml", text.replace("[service]", "[service]\nnmae = \"x\""));
    let before = world.release("unknown key in the working copy", "well");
    let run = world.plimsoll(["status"]).exits(2).says(&["nmae", "did you mean `name`", "CFG-004"]);
    reads_well(&run);
    world.plimsoll(["deploy", before.as_str(), "--env", "trial"]).exits(2);
}

/// An archive that another tool wrote, with a path out of its folder.
#[test]
fn an_archive_that_reaches_out() {
    let mut world = World::new();
    let text = world.configuration();
    let start = text.find("[image]").unwrap();
    let end = text.find("[environments.trial]").unwrap();
    let text = format!("{}[build.layout]\npath = \"out.tar\"\n\n{}", &text[..start], &text[end..]);
    world.repo.write("plimsoll.toml", text);
    let outside = world.path().parent().unwrap().join("reached-out");
    for (name, entry, link) in
        [("dots", "../../../../reached-out", None), ("a link", "index.json", Some("/etc/passwd"))]
    {
        let file = std::fs::File::create(world.path().join("out.tar")).unwrap();
        let mut file = std::io::BufWriter::new(file);
        file.write_all(&tar_header(entry, link)).unwrap();
        file.write_all(&[0; 1024]).unwrap();
        drop(file);
        let sha = world.release(name, "well");
        let run = world.plimsoll(["build"]);
        assert!(run.code() == 3, "{name}: {run:#?}");
        reads_well(&run);
        assert_eq!(complete(&world.registry.host(), REPOSITORY, sha.as_str()), None);
        assert!(!outside.exists());
    }
}

/// One entry of a tar archive (POSIX ustar), empty.
fn tar_header(name: &str, link: Option<&str>) -> [u8; 512] {
    let mut header = [0; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, "00000000000\0");
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, if link.is_some() { "2" } else { "0" });
    put(157, link.unwrap_or_default());
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    header[148..156].copy_from_slice(sum.as_bytes());
    header
}

#[test]
fn registries_that_cannot_be_used() {
    let mut world = World::new();
    let sha = world.release("first", "well");
    let deploy = ["deploy", sha.as_str(), "--env", "trial"];
    // Nobody there.
    world.registry.stop();
    let gone = format!("repository.canonical={}/acme/echo", free_address());
    let run = world.plimsoll(["build", "--set", &gone]).exits(5).says(&["REG-001", "refused"]);
    reads_well(&run);
    world.registry.restart();

    // Somebody there who wants to be convinced.
    let secret = plimsoll_model::Secret::new("right");
    let credentials = Some(Credentials { username: "ci".into(), password: secret });
    world.registry.restart_with(Options { credentials, ..Options::default() });
    reads_well(&world.plimsoll(["build"]).exits(5).says(&["REG-003"]));
    let with = |password: &str, arguments: &[&str]| {
        let mut command = world.command(arguments.iter().copied());
        command.env("PLIMSOLL_REGISTRY_USERNAME", "ci").env("PLIMSOLL_REGISTRY_PASSWORD", password);
        world.start(command).wait()
    };
    let run = with("wrong-secret", &["build"]).exits(5).says(&["REG-003"]);
    reads_well(&run);
    assert!(!run.stderr.contains("wrong-secret"), "{}", run.stderr);
    with("right", &["build"]).exits(0);
    with("wrong-secret", &deploy).exits(5).says(&["nothing was touched"]);
    world.runs_exactly(0);
    world.registry.restart_with(Options::default());

    // Something else there.
    world.registry.faults().on("*", "/v2/").then(Fault::Html);
    let second = world.release("second", "well");
    reads_well(&world.plimsoll(["build", second.as_str()]).exits(5).says(&["REG-002"]));
    world.registry.faults().clear();
}

/// BLD-4: pushed by hand under a commit's tag.
#[test]
fn images_of_another_kind() {
    let mut world = World::new();
    let host = world.registry.host();
    for (kind, code) in [("arm64", "GRD-005"), ("index", "GRD-005")] {
        let sha = world.release(kind, "well");
        let mut metadata = world.json(["build", "--no-push"]);
        let mut digest = String::new();
        for tag in [sha.as_str(), sha.short()] {
            digest = match kind {
                "index" => {
                    let index =
                        format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, http::INDEX);
                    http::put_manifest(&host, REPOSITORY, tag, http::INDEX, index.as_bytes())
                }
                architecture => http::put_image(&host, REPOSITORY, tag, architecture),
            };
        }
        let built = metadata["image_digest"].as_str().unwrap().to_owned();
        metadata["image_ref"] = metadata["image_ref"].as_str().unwrap().replace(&built, &digest).into();
        for key in ["image_digest", "pre_push_digest", "post_push_digest"] {
            metadata[key] = digest.clone().into();
        }
        metadata["digest_verification"] = "ok".into();
        metadata["pushed"] = true.into();
        let file = world.repo.write("metadata.json", metadata.to_string());
        let file = file.to_str().unwrap();
        let deploy = ["deploy", sha.as_str(), "--env", "trial", "--metadata", file];
        world.plimsoll(deploy).exits(3).says(&[code, "linux/amd64", "nothing was touched"]);
        world.plimsoll(["verify", sha.as_str(), "--metadata", file]).exits(1).says(&[code]);
        // And nobody overwrites it.
        world.plimsoll(["push", sha.as_str()]).exits(4).says(&["TAG-003"]);
    }
    world.runs_exactly(0);
}

#[test]
fn a_port_that_is_taken() {
    let mut world = World::new();
    let sha = world.built("first", "well");
    let taken = TcpListener::bind(world.listen[0]).unwrap();
    let run = world.plimsoll(["deploy", sha.as_str(), "--env", "trial"]);
    let me = format!("pid {}", std::process::id());
    reads_well(&run.exits(1).says(&[&world.listen[0].to_string(), &me]));
    let status = &world.json(["status", "--env", "trial"])["environments"][0];
    assert!(status["running"].is_null() && status["unfinished"].is_null(), "{status:#}");
    world.runs_exactly(0);
    drop(taken);
    world.plimsoll(["deploy", sha.as_str(), "--env", "trial"]).exits(0);
}

/// Arguments are checked by the parser: its text, and exit code 2.
#[test]
fn arguments_that_are_none() {
    let world = World::new();
    for arguments in
        [vec![], vec!["deploi"], vec!["deploy"], vec!["status", "--output", "yaml"], vec!["stats", "--nope"]]
    {
        let run = world.plimsoll(arguments).exits(2);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.contains("--help") || run.stderr.contains("Usage: plimsoll"), "{}", run.stderr);
    }
    reads_well(&world.plimsoll(["explain", "XYZ-1"]).exits(2));
    reads_well(&world.plimsoll(["deploy", &"0".repeat(40), "--env", "trial", "--wait", "soon"]).exits(2));
    assert!(!world.state().exists());
}
