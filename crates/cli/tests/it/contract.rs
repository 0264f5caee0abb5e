//! What a release changes for the clients of its API: compared by file and by
//! commit, attested, and part of the decision (API-1).

use plimsoll_model::Commit;
use serde_json::Value;

use crate::evidence::{check, signing_world};
use crate::world::World;

const CONTRACT: &str = "\n[contract]\nopenapi = \"api/openapi.yaml\"\n";

/// The API, with these properties of a user, kept in a file of its own.
pub(crate) fn describe(world: &World, version: &str, properties: &[&str]) {
    let openapi = format!(
        "openapi: 3.1.0\ninfo: {{title: echo, version: {version}}}\npaths:\n  /users:\n    get:\n      responses:\n        \
         '200':\n          description: all\n          content:\n            application/json:\n              schema: \
         {{$ref: './user.yaml'}}\n"
    );
    let properties: String = properties.iter().map(|name| format!("  {name}: {{type: string}}\n")).collect();
    world.repo.write("api/openapi.yaml", openapi);
    world.repo.write("api/user.yaml", format!("type: object\nproperties:\n{properties}"));
}

/// A world whose first release has a fax number and whose second has none.
fn two_releases(more: &str) -> (World, [Commit; 2]) {
    let mut world = signing_world(&format!("{CONTRACT}{more}"));
    describe(&world, "1.0.0", &["id", "fax"]);
    let first = world.built("first", "well");
    world.plimsoll(["deploy", first.as_str(), "--env", "trial"]).exits(0);
    describe(&world, "1.1.0", &["id"]);
    let second = world.built("second", "well");
    (world, [first, second])
}

fn level(report: &Value) -> (&str, usize) {
    (report["level"].as_str().unwrap_or("none"), report["changes"].as_array().unwrap().len())
}

#[test]
fn documents_of_files_and_of_commits_are_compared() {
    let (world, [first, second]) = two_releases("");
    let by_commit = world.json(["contract", "diff", first.as_str(), second.as_str()]);
    assert_eq!(by_commit["schema"], "plimsoll/contract-diff/v1");
    assert_eq!(level(&by_commit), ("breaking", 1), "{by_commit:#}");
    let change = &by_commit["changes"][0];
    assert_eq!((&change["rule"], &change["path"]), (&"API-107".into(), &"/users".into()));
    assert_eq!(by_commit["old"]["source"], "git");
    // Back again: what a file of the working directory has is new to the commit.
    world
        .repo
        .write("api/user.yaml", "type: object\nproperties:\n  id: {type: string}\n  name: {type: string}\n");
    let by_file = world.json(["contract", "diff", "HEAD", "api/openapi.yaml"]);
    assert_eq!(level(&by_file), ("additive", 1), "{by_file:#}");
    // What fails a build of somebody who wants that.
    let fail = ["contract", "diff", first.as_str(), second.as_str(), "--fail-on", "breaking"];
    world.plimsoll(fail).exits(3).says(&["API-107", "`fax` no longer sent"]);
    world.plimsoll(["contract", "diff", "HEAD", "api/openapi.yaml", "--fail-on", "breaking"]).exits(0);
    let annotations = ["contract", "diff", first.as_str(), second.as_str(), "--form", "github"];
    world.plimsoll(annotations).exits(0).says(&["file=api/user.yaml", "API-107"]);
}

#[test]
fn a_snapshot_is_the_same_in_any_language_and_number_of_files() {
    let (world, [first, _]) = two_releases("");
    let of_commit = world.plimsoll(["contract", "snapshot", first.as_str()]).exits(0).stdout;
    world.repo.write("one.json", &of_commit);
    let of_file = world.plimsoll(["contract", "snapshot", "one.json"]).exits(0).stdout;
    assert_eq!(of_commit, of_file);
    assert_eq!(level(&world.json(["contract", "diff", first.as_str(), "one.json"])), ("none", 0));
}

#[test]
fn what_cannot_be_read_is_no_missing_change() {
    let (world, [first, _]) = two_releases("");
    let diff = |new: &str| world.plimsoll(["contract", "diff", first.as_str(), new]);
    diff("missing.yaml").exits(2).says(&["CON-902", "missing.yaml"]);
    diff("no-such-branch").exits(2).says(&["no-such-branch"]);
    world.repo.write("broken.json", "{\"openapi\": \"3.0.3\",\n  \"paths\": {\"/users\": }}");
    diff("broken.json").exits(2).says(&["broken.json:2:"]);
    world.repo.write("old.json", "{\"swagger\": \"2.0\", \"paths\": {}}");
    diff("old.json").exits(2).says(&["Swagger 2.0"]);
    world.repo.write("accepted.toml", "[[accepted]]\nrule = \"API-107\"\n");
    let accepted = ["contract", "diff", first.as_str(), "HEAD", "--accepted", "accepted.toml"];
    world.plimsoll(accepted).exits(2).says(&["CON-904", "reason"]);
    // A commit without a document is told before anything is built.
    world.repo.write("plimsoll.toml", world.configuration() + "\n[contract]\nopenapi = \"nowhere.json\"\n");
    world.repo.commit("no document");
    world.plimsoll(["build"]).exits(2).says(&["CON-901", "nowhere.json"]);
}

/// The snapshot is on the image, so that it is there where the repository is not.
#[test]
fn a_snapshot_is_attested_and_compared_without_the_repository() {
    let (world, [first, second]) = two_releases("");
    let report = world.json(["verify", first.as_str()]);
    let roles: Vec<_> = report["evidence"].as_array().unwrap().iter().map(|one| &one["role"]).collect();
    assert!(roles.contains(&&Value::from("contract")), "{report:#}");
    // Nothing is attached twice.
    let before = roles.len();
    world.plimsoll(["build", first.as_str()]).exits(0);
    assert_eq!(world.json(["verify", first.as_str()])["evidence"].as_array().unwrap().len(), before);
    // A repository that has never heard of the two commits.
    let elsewhere = plimsoll_testkit::git::Repo::init();
    for file in ["plimsoll.toml", "release.pub", "release.key", "password"] {
        elsewhere.write(file, std::fs::read(world.path().join(file)).unwrap());
    }
    elsewhere.commit("another history");
    let mut command =
        world.command(["contract", "diff", first.as_str(), second.as_str(), "--output", "json"]);
    command.current_dir(elsewhere.path());
    let compared = world.start(command).wait().exits(0).json();
    assert_eq!(level(&compared), ("breaking", 1), "{compared:#}");
    assert!(compared["old"]["source"].as_str().unwrap().starts_with("attested by "), "{compared:#}");
}

/// CON-001: compared with what runs, not with what was built last.
#[test]
fn a_break_is_said_and_refused_where_the_policy_says_so() {
    let (world, [_, second]) = two_releases("");
    let deploy = ["deploy", second.as_str(), "--env", "trial"];
    let planned = world.json(deploy.into_iter().chain(["--dry-run"]));
    let found = check(&planned, "CON-001");
    assert_eq!(found["outcome"], "warn", "{planned:#}");
    assert!(found["found"].as_str().unwrap().contains("`fax` no longer sent"), "{found:#}");
    assert_eq!(check(&planned, "CON-002")["outcome"], "pass");
    let strict = ["--set", "policy.api_break=require", "--set", "policy.version=off"];
    world.plimsoll(deploy.into_iter().chain(strict)).exits(3).says(&["CON-001", "nothing was touched"]);
    // Decided on, with a reason and a date.
    let accepted = "[[accepted]]\nrule = \"response-property-removed\"\npath = \"/users\"\nreason = \"unused since 2024\"\n\
                    until = \"2999-12-31\"\n";
    world.repo.write("accepted.toml", accepted);
    let with_file = strict.into_iter().chain(["--set", "contract.accepted=accepted.toml", "--dry-run"]);
    let allowed = world.json(deploy.into_iter().chain(with_file));
    assert_eq!(check(&allowed, "CON-001")["outcome"], "pass", "{allowed:#}");
}

/// VER-201: a version says what the evidence says, or it is not let in.
#[test]
fn a_break_needs_a_major_version() {
    let mut world = signing_world(CONTRACT);
    world.repo.write("VERSION", "1.0.0\n");
    describe(&world, "1.0.0", &["id", "fax"]);
    let first = world.built("first", "well");
    world.plimsoll(["deploy", first.as_str(), "--env", "trial"]).exits(0);
    world.repo.write("VERSION", "1.0.1\n");
    describe(&world, "1.0.1", &["id"]);
    let second = world.built("second", "well");
    let deploy = ["deploy", second.as_str(), "--env", "trial"];
    world.plimsoll(deploy).exits(3).says(&["VER-201", "at least 2.0.0", "1.0.1", "nothing was touched"]);
    // Somebody answers for it, by name.
    let answered = deploy.into_iter().chain(["--approve", "VER-201=the clients are ours", "--dry-run"]);
    assert_eq!(check(&world.json(answered), "VER-201")["outcome"], "warn");
    world.repo.write("VERSION", "2.0.0\n");
    let third = world.built("third", "well");
    let deployed = world.json(["deploy", third.as_str(), "--env", "trial"]);
    assert_eq!(check(&deployed, "VER-201")["outcome"], "pass", "{deployed:#}");
    assert_eq!(deployed["outcome"], "succeeded");
}
