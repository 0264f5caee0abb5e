//! A registry that lies, breaks or stalls: exit 4 or 5 as promised, nothing
//! half-published, nothing deployed, and the same command later succeeds.

use bytes::Bytes;
use plimsoll_model::Commit;
use plimsoll_oci::digest_of;
use plimsoll_registry::server::Options;
use plimsoll_testkit::registry::Fault;

use crate::http::{self, complete};
use crate::world::{World, until};

const REPOSITORY: &str = "acme/echo";

/// Everything that could have been touched by a deployment.
fn untouched(world: &World, serves: Option<&Commit>) {
    let status = &world.json(["status", "--env", "trial"])["environments"][0];
    assert_eq!(status["running"]["image_sha"].as_str(), serves.map(Commit::as_str), "{status:#}");
    assert!(status["unfinished"].is_null() && status["lock"].is_null(), "{status:#}");
    world.runs_exactly(usize::from(serves.is_some()));
}

/// Another manifest than the one that was pushed, whole and valid.
fn other_manifest(world: &World) -> Fault {
    let host = world.registry.host();
    http::put_image(&host, REPOSITORY, "other", "amd64");
    let bytes = http::get(&host, &format!("/v2/{REPOSITORY}/manifests/other")).body;
    Fault::Manifest { media_type: http::MANIFEST.into(), bytes: Bytes::from(bytes) }
}

/// A manifest whose blobs are nowhere.
fn dangling_manifest() -> Fault {
    let bytes = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":2}},"layers":[]}}"#,
        http::MANIFEST,
        digest_of(b"{}")
    );
    Fault::Manifest { media_type: http::MANIFEST.into(), bytes: Bytes::from(bytes) }
}

#[test]
fn lies_during_a_deploy() {
    let mut world = World::new();
    let sha = world.built("first", "well");
    let deploy = ["deploy", sha.as_str(), "--env", "trial"];
    let faults = world.registry.faults().clone();
    let full = format!("/manifests/{sha}");
    let lies: Vec<(&str, &str, Fault, &[i32])> = vec![
        ("the header names another digest", &full, Fault::DigestHeader(digest_of(b"other")), &[4]),
        ("the tag has another manifest", &full, other_manifest(&world), &[4]),
        ("the tag has a manifest without blobs", &full, dangling_manifest(), &[4, 5]),
        ("the manifest is cut off", &full, Fault::Truncate(40), &[4, 5]),
        ("the pinned manifest is another", "/manifests/sha256:", other_manifest(&world), &[4]),
        (
            "the pinned manifest has other bytes",
            "/manifests/sha256:",
            Fault::Body(Bytes::from_static(b"{}")),
            &[4],
        ),
        ("blobs are cut off", "/blobs/sha256:", Fault::Truncate(100), &[4, 5]),
        ("blobs have other bytes", "/blobs/sha256:", Fault::Body(Bytes::from_static(b"no")), &[4]),
        ("HTML", "/v2/", Fault::Html, &[5]),
        ("server errors", "/v2/", Fault::Status { status: 503, retry_after: Some(0) }, &[5]),
    ];
    for (what, path, fault, codes) in lies {
        // What the store has needs no registry: begin without.
        std::fs::remove_dir_all(world.state().join("store")).unwrap();
        faults.on("*", path).then(fault);
        let run = world.plimsoll(deploy);
        faults.clear();
        assert!(codes.contains(&run.code()), "{what}: exit {}\n{}\n{}", run.code(), run.stdout, run.stderr);
        assert!((run.stdout.clone() + &run.stderr).contains("nothing was "), "{what}: {run:#?}");
        untouched(&world, None);
    }
    world.plimsoll(deploy).exits(0);
    untouched(&world, Some(&sha));
}

/// What was decided on is pulled by digest: a tag that moves after the guard
/// has looked moves nothing.
#[test]
fn a_tag_that_moves_between_guard_and_pull() {
    let mut world = World::new();
    let sha = world.built("first", "well");
    std::fs::remove_dir_all(world.state().join("store")).unwrap();
    let faults = world.registry.faults().clone();
    faults.on("*", &format!("/manifests/{sha}")).skip(1).then(other_manifest(&world));
    faults.forget_requests();
    world.plimsoll(["deploy", sha.as_str(), "--env", "trial"]).exits(0);
    let by_tag = faults.count("*", &format!("/manifests/{sha}"));
    assert_eq!(by_tag, 1, "the tag was asked for again after the decision: {:?}", faults.requests());
    let served = http::get(&world.listen[0].to_string(), "/version").text();
    assert!(served.contains(sha.as_str()), "{served}");
}

#[test]
fn a_tag_that_was_moved() {
    let (mut world, first) = World::with_release();
    let second = world.built("second", "well");
    world.registry.restart_with(Options { delete_commits: true, ..Options::default() });
    let host = world.registry.host();
    for sha in [&first, &second] {
        let path = format!("/v2/{REPOSITORY}/manifests/{sha}");
        assert_eq!(http::ask(&host, "DELETE", &path, "text/plain", b"").status, 202);
        http::put_image(&host, REPOSITORY, sha.as_str(), "amd64");
    }
    let deploy = ["deploy", second.as_str(), "--env", "trial"];
    world.plimsoll(deploy).exits(4).says(&["DIG-002", "nothing was touched"]);
    assert_eq!(world.json(deploy)["outcome"], "refused");
    untouched(&world, Some(&first));
    // Rolling back is not exempt, and neither is verifying or pushing.
    world.plimsoll(["rollback", "--to", first.as_str(), "--env", "trial"]).exits(4).says(&["DIG-002"]);
    world.plimsoll(["verify", second.as_str()]).exits(4).says(&["DIG-002", "NOT verified"]);
    world.plimsoll(["push", second.as_str()]).exits(4).says(&["TAG-003", "expected sha256:", "found"]);
    world.plimsoll(["build"]).exits(4).says(&["TAG-003"]);
    let ways = world.json(["status", "--env", "trial"]);
    assert_eq!(ways["environments"][0]["running"]["image_sha"], first.as_str());
}

#[test]
fn breaks_during_a_push() {
    let mut world = World::new();
    let host = world.registry.host();
    let faults = world.registry.faults().clone();
    let status = |status, retry_after| Fault::Status { status, retry_after };
    // What a client mends by itself.
    let mended: Vec<(&str, &str, &str, Fault, usize)> = vec![
        ("reset in an upload", "*", "/uploads/", Fault::ResetAfter(1000), 2),
        ("an answer that is lost", "*", "/uploads/", Fault::LoseAnswer, 2),
        ("a manifest's answer that is lost", "PUT", "/manifests/", Fault::LoseAnswer, 2),
        ("429 with Retry-After", "*", "/v2/", status(429, Some(1)), 1),
        ("503", "*", "/v2/", status(503, None), 1),
    ];
    for (n, (what, method, path, fault, times)) in mended.into_iter().enumerate() {
        let sha = world.release(&format!("mended {n}"), "well");
        faults.on(method, path).times(times).then(fault);
        let run = world.plimsoll(["build", "--output", "json"]);
        faults.clear();
        assert_eq!(run.code(), 0, "{what}: {}\n{}", run.stdout, run.stderr);
        assert_eq!(run.json()["digest_verification"], "ok", "{what}");
        for tag in [sha.as_str(), sha.short()] {
            assert_eq!(complete(&host, REPOSITORY, tag), Some(true), "{what}");
        }
    }
    // What it cannot mend.
    let lasting: Vec<(&str, &str, &str, Fault, &[i32])> = vec![
        ("uploads are refused", "*", "/uploads/", status(500, Some(0)), &[5]),
        ("manifests are refused", "PUT", "/manifests/", status(500, Some(0)), &[5]),
        ("access is denied", "*", "/v2/", status(403, None), &[5]),
        ("HTML", "*", "/v2/", Fault::Html, &[5]),
        ("every connection breaks", "*", "/v2/", Fault::Reset, &[5]),
    ];
    for (n, (what, method, path, fault, codes)) in lasting.into_iter().enumerate() {
        let sha = world.release(&format!("lasting {n}"), "well");
        faults.on(method, path).then(fault);
        let run = world.plimsoll(["build"]);
        faults.clear();
        assert!(codes.contains(&run.code()), "{what}: exit {}\n{}\n{}", run.code(), run.stdout, run.stderr);
        assert_eq!(complete(&host, REPOSITORY, sha.as_str()), None, "{what}");
        let show = world.json(["show", sha.as_str()]);
        assert_eq!(show["builds"].as_array().map(Vec::len), Some(0), "{what}: {show:#}");
        world.plimsoll(["build"]).exits(0);
        assert_eq!(complete(&host, REPOSITORY, sha.as_str()), Some(true), "{what}");
    }
    // What is fetched back after the push is another manifest (DIG-1).
    let sha = world.release("swapped", "well");
    faults.on("GET", "/manifests/").skip(2).then(other_manifest(&world));
    let run = world.plimsoll(["build"]);
    faults.clear();
    run.exits(4);
    let show = world.json(["show", sha.as_str()]);
    assert_eq!(show["builds"].as_array().map(Vec::len), Some(0), "{show:#}");
    world.plimsoll(["ledger", "verify"]).exits(0);
}

/// RBK-4: the way back does not hang on a registry that accepts and is silent.
#[test]
fn a_registry_that_never_answers() {
    let (mut world, first) = World::with_release();
    let second = world.built("second", "well");
    world.plimsoll(["deploy", second.as_str(), "--env", "trial"]).exits(0);
    world.registry.faults().on("*", "").then(Fault::Stall);
    let status = world.plimsoll(["status", "--env", "trial"]).exits(0).says(&["the target holds it"]);
    assert!(status.took.as_secs() < 20, "{status:?}");
    let back = world.plimsoll(["rollback", "--to", first.as_str(), "--env", "trial"]).exits(0);
    assert!(back.took.as_secs() < 40, "{back:?}");
    untouched(&world, Some(&first));
}

/// The registry's machine goes away in the middle of an upload.
#[test]
fn a_registry_that_stops_in_the_middle() {
    let mut world = World::new();
    let sha = world.release("first", "well");
    let faults = world.registry.faults().clone();
    faults.on("*", "/uploads/").skip(1).then(Fault::Stall);
    let build = world.start(world.command(["build"]));
    until("an upload is under way", || faults.count("*", "/uploads/") >= 2);
    faults.clear();
    faults.on("*", "").then(Fault::Reset);
    world.registry.restart();
    build.wait().exits(5).says(&["REG-001"]);
    faults.clear();
    assert_eq!(complete(&world.registry.host(), REPOSITORY, sha.as_str()), None);
    world.plimsoll(["build"]).exits(0);
    world.plimsoll(["verify", sha.as_str()]).exits(0);
}
