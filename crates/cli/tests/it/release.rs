//! `version` and `changelog` on real repositories (VER-1, CHG-1).

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use plimsoll_testkit::git::Repo;
use serde_json::{Value, json};

use crate::world::{PLIMSOLL, Run, World};

/// A service with an API, a database and a lock file, and no other file of Plimsoll's.
struct Project {
    repo: Repo,
}

const MANIFEST: &str = "[package]\nname = \"payouts\"\nversion = \"VERSION\"\n";
const FIRST_MIGRATION: &str = "CREATE TABLE payouts (id bigint PRIMARY KEY, fax text);\n";

fn openapi(properties: &[&str]) -> String {
    let properties: serde_json::Map<String, Value> =
        properties.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
    let schema = json!({"type": "object", "properties": properties});
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Payouts", "version": "1"},
        "paths": {"/payouts": {"get": {"responses": {"200": {
            "description": "ok",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Payout"}}},
        }}}}},
        "components": {"schemas": {"Payout": schema}},
    })
    .to_string()
}

fn lock(versions: &[(&str, &str)]) -> String {
    let own = "[[package]]\nname = \"payouts\"\nversion = \"0.0.0\"\n".to_owned();
    let source = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
    let others = versions.iter().map(|(name, version)| {
        format!(
            "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n{source}checksum = \"{}\"\n",
            "0".repeat(64)
        )
    });
    std::iter::once("version = 4\n".to_owned()).chain([own]).chain(others).collect::<Vec<_>>().join("\n")
}

impl Project {
    /// A repository whose first release is tagged.
    fn released(version: &str) -> Self {
        let repo = Repo::init();
        repo.write("Cargo.toml", MANIFEST.replace("VERSION", version));
        repo.write("openapi.json", openapi(&["id", "fax"]));
        repo.write("migrations/1_payouts.sql", FIRST_MIGRATION);
        repo.write("Cargo.lock", lock(&[("example", "1.0.0"), ("serde", "1.0.0")]));
        repo.commit("feat: payouts");
        repo.git(&["tag", &format!("v{version}")]);
        Self { repo }
    }

    fn write(&self, path: &str, text: &str) -> &Self {
        self.repo.write(path, text);
        self
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.repo.path().join(path)).unwrap()
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Run {
        run_in(self.repo.path(), arguments)
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--output", "json"]].concat()).json()
    }
}

#[track_caller]
fn run_in(folder: &Path, arguments: &[&str]) -> Run {
    let started = Instant::now();
    let mut command = Command::new(PLIMSOLL);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).env_clear().env("HOME", folder);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    let output = command.output().expect("the program under test can be started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints text");
    Run {
        status: output.status,
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        took: started.elapsed(),
    }
}

fn rules(value: &Value, key: &str) -> Vec<String> {
    let rows = value[key].as_array().expect("it is a list");
    rows.iter().map(|row| row["rule"].as_str().unwrap().to_owned()).collect()
}

fn failed(value: &Value) -> Vec<&str> {
    let checks = value["checks"].as_array().expect("it is a list");
    checks
        .iter()
        .filter(|check| check["outcome"] == "fail")
        .map(|check| check["code"].as_str().unwrap())
        .collect()
}

/// VER-1: the evidence decides, a `fix:` that breaks is a contradiction.
#[test]
fn a_fix_that_breaks_clients_is_a_major_version() {
    let project = Project::released("1.2.3");
    project.write("openapi.json", &openapi(&["id"])).repo.commit("fix: rounding");
    let run = project.run(&["version", "next"]).exits(0);
    assert_eq!(run.stdout, "2.0.0\n");
    run.says(&[
        "major after 1.2.3 (tag v1.2.3)",
        "VER-001",
        "API-107",
        "`GET /payouts` no longer returns `fax`",
        "contradiction: commit",
        "says fix, but the evidence says break",
    ]);
    let next = project.json(&["version", "next"]);
    assert_eq!(next["schema"], "plimsoll/version/v1");
    assert_eq!((&next["version"], &next["level"]), (&json!("2.0.0"), &json!("major")));
    assert_eq!(next["previous"]["version"], "1.2.3");
    assert_eq!(rules(&next, "reasons"), ["VER-001", "VER-012"]);
    assert_eq!(rules(&next, "contradictions"), ["VER-020"]);
    assert!(
        next["reasons"][0]["evidence"][0]
            .as_str()
            .unwrap()
            .starts_with("API-107 #/components/schemas/Payout")
    );

    // The same before 1.0 is a minor version, never 1.0.0.
    let project = Project::released("0.9.9");
    project.write("openapi.json", &openapi(&["id"])).repo.commit("fix: rounding");
    assert_eq!(project.run(&["version", "next"]).exits(0).stdout, "0.10.0\n");
}

#[test]
fn a_version_that_says_less_is_refused() {
    let project = Project::released("1.2.3");
    project.write("openapi.json", &openapi(&["id", "fax", "iban"])).repo.commit("feat: iban");
    let check = |version: &[&str]| project.json(&[&["version", "check"], version].concat());
    // The manifest was forgotten.
    project.run(&["version", "check"]).exits(3).says(&[
        "VER-031",
        "VER-033",
        "at least 1.3.0 (minor",
        "must not be released as 1.2.3",
    ]);
    for (version, refused) in [
        ("1.2.4", vec!["VER-033"]),
        ("1.2.2", vec!["VER-032", "VER-033"]),
        ("1.3.0", vec![]),
        ("2.0.0-rc.1", vec![]),
    ] {
        let checked = check(&[version]);
        assert_eq!(failed(&checked), refused, "{version}");
        assert_eq!(checked["allowed"], refused.is_empty());
        assert_eq!(checked["least"], "1.3.0");
        project.run(&["version", "check", version]).exits(if refused.is_empty() { 0 } else { 3 });
    }
    // Written, committed, tagged: the tag is the claim, and the manifest agrees.
    project.write("Cargo.toml", &MANIFEST.replace("VERSION", "1.3.0")).repo.commit("chore: release 1.3.0");
    project.run(&["version", "check"]).exits(0);
    project.repo.git(&["tag", "v1.3.0"]);
    let checked = check(&[]);
    assert_eq!((&checked["version"], &checked["allowed"]), (&json!("1.3.0"), &json!(true)));
    assert_eq!(checked["previous"]["version"], "1.2.3");
    // Nothing is left to be released.
    project.run(&["version", "next"]).exits(0).says(&["1.3.0", "nothing changed"]);
    // A tag that says something else than the manifest is named.
    project.repo.git(&["tag", "v1.4.0"]);
    assert_eq!(failed(&check(&[])), ["VER-030"]);
    project.run(&["version", "check"]).exits(3).says(&["tag v1.4.0 states 1.4.0", "Cargo.toml states 1.3.0"]);
    project.run(&["version", "check", "one"]).exits(2);
}

/// Absent is not unknown is not "no change".
#[test]
fn what_cannot_be_read_is_no_verdict() {
    let project = Project::released("1.2.3");
    project.write("openapi.json", "{\"openapi\": ").repo.commit("fix: a");
    project.run(&["version", "next"]).exits(5).says(&["1.2.4", "not known: API", "it could demand major"]);
    project.run(&["version", "check", "1.2.4"]).exits(5).says(&["VER-034"]);
    project.run(&["version", "check", "2.0.0"]).exits(0);
    // A document that is gone says nothing about the API.
    std::fs::remove_file(project.repo.path().join("openapi.json")).unwrap();
    project.repo.commit("fix: b");
    project.run(&["version", "check", "1.2.4"]).exits(5).says(&["openapi.json is gone"]);
    // A history that is cut off has no previous release.
    let clone = tempfile::tempdir().unwrap();
    let from = format!("file://{}", project.repo.path().display());
    project.repo.git(&["clone", "--quiet", "--depth=1", "--no-tags", &from, clone.path().to_str().unwrap()]);
    run_in(clone.path(), &["version", "next"]).exits(5).says(&["unknown", "git fetch --unshallow"]);
    // A repository without all that has no doubts.
    let bare = Repo::init();
    bare.commit_files("feat: one", &[("main.c", "int main;")]);
    let first = run_in(bare.path(), &["version", "next", "--output", "json"]).exits(0).json();
    assert_eq!((&first["version"], &first["doubts"]), (&json!("0.1.0"), &json!([])));
    bare.git(&["tag", "v0.1.0"]);
    bare.commit("feat: two");
    assert_eq!(run_in(bare.path(), &["version", "next"]).exits(0).stdout, "0.2.0\n");
    assert_eq!(run_in(bare.path(), &["version", "next", "--pre", "rc"]).exits(0).stdout, "0.2.0-rc.1\n");
    run_in(bare.path(), &["version", "next", "--pre", "1"]).exits(2);
}

#[test]
fn migrations_and_dependencies_have_a_say() {
    let project = Project::released("1.2.3");
    project
        .write("migrations/2_iban.sql", "ALTER TABLE payouts ADD COLUMN iban text;\n")
        .repo
        .commit("chore: schema");
    let next = project.json(&["version", "next"]);
    assert_eq!(
        (&next["version"], rules(&next, "reasons")),
        (&json!("1.3.0"), vec!["VER-005".into(), "VER-012".into()])
    );
    project
        .write("migrations/3_fax.sql", "ALTER TABLE payouts DROP COLUMN fax;\n")
        .repo
        .commit("chore: drop fax");
    let next = project.json(&["version", "next"]);
    assert_eq!((&next["version"], &rules(&next, "reasons")[0]), (&json!("2.0.0"), &"VER-004".to_owned()));
    let private = project.json(&["version", "next", "--private-database"]);
    assert_eq!(private["version"], "1.3.0");

    let project = Project::released("1.2.3");
    let lock =
        lock(&[("example", "1.0.1"), ("serde", "1.0.0"), ("fresh", "0.1.0")]).replace("0.0.0", "9.9.9");
    project.write("Cargo.lock", &lock).repo.commit("chore: update");
    let next = project.json(&["version", "next"]);
    let reason = &next["reasons"][0];
    assert_eq!((&next["version"], &reason["rule"]), (&json!("1.2.4"), &json!("VER-007")));
    // What the repository itself builds is no dependency.
    assert_eq!(
        reason["evidence"],
        json!(["pkg:cargo/example 1.0.0 -> 1.0.1", "pkg:cargo/fresh 0.1.0 added"])
    );
}

/// Services of one repository have tags, folders and versions of their own.
#[test]
fn several_services_in_one_repository() {
    let repo = Repo::init();
    repo.write("payouts/package.json", "{\"name\": \"payouts\", \"version\": \"1.0.0\"}");
    repo.write("billing/VERSION", "5.0.0\n");
    repo.commit("feat: both");
    repo.git(&["tag", "payouts@1.0.0"]);
    repo.git(&["tag", "billing/v5.0.0"]);
    repo.write("billing/main.c", "int main;");
    repo.write("billing/Cargo.lock", lock(&[("serde", "1.0.0")]));
    repo.write("billing/openapi.json", openapi(&["id"]));
    repo.commit("feat!: of billing");
    repo.write("payouts/main.js", "1");
    repo.commit("fix: of payouts");
    let next = |folder: &str, service: &str| {
        run_in(&repo.path().join(folder), &["version", "next", "--service", service]).exits(0).stdout
    };
    assert_eq!(next("payouts", "payouts"), "1.0.1\n");
    assert_eq!(next("billing", "billing"), "6.0.0\n");
    let of_billing = run_in(
        &repo.path().join("billing"),
        &["version", "next", "--service", "billing", "--output", "json"],
    )
    .json();
    assert_eq!(rules(&of_billing, "reasons"), ["VER-010", "VER-002", "VER-007"]);
}

/// CHG-1, from the first line to the release.
#[test]
fn a_changelog_from_the_first_line_to_the_release() {
    let project = Project::released("1.2.3");
    let old = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-01-01\n\n- Payouts.\n\n\
               [unreleased]: https://e.example/p/compare/v1.2.3...HEAD\n";
    project
        .write("CHANGELOG.md", old)
        .write("openapi.json", &openapi(&["id", "iban"]))
        .write("migrations/2_iban.sql", "ALTER TABLE payouts ADD COLUMN iban text;\n")
        .write("Cargo.lock", &lock(&[("example", "1.0.1"), ("serde", "1.0.0")]))
        .repo
        .commit("fix(api): iban instead of fax");
    // Printing writes nothing.
    let printed = project.run(&["changelog"]).exits(0);
    assert!(
        printed.stdout.starts_with(
            "## [Unreleased]\n\n### Fixed\n\n- **api:** iban instead of fax <!-- plimsoll commit "
        ),
        "{}",
        printed.stdout
    );
    printed.says(&["contradiction: commit"]);
    assert_eq!(project.read("CHANGELOG.md"), old);

    project.run(&["changelog", "--write"]).exits(0).says(&["section Unreleased, 6 new lines"]);
    let written = project.read("CHANGELOG.md");
    for line in [
        "### API\n\n- **Breaking:** `GET /payouts` no longer returns `fax` <!-- plimsoll api ",
        "- `GET /payouts` now returns `iban` <!-- plimsoll api ",
        "### Schema\n\n- Migration `migrations/2_iban.sql` adds to the database; older code goes on working <!-- plimsoll schema ",
        "- New column `payouts.iban` <!-- plimsoll schema ",
        "### Dependencies\n\n- Upgraded `example` (cargo) from 1.0.0 to 1.0.1 <!-- plimsoll dependency ",
    ] {
        assert!(written.contains(line), "{line}\n{written}");
    }
    assert!(written.ends_with("- Payouts.\n\n[unreleased]: https://e.example/p/compare/v1.2.3...HEAD\n"));
    project.run(&["changelog", "--check"]).exits(0);
    project.run(&["changelog", "--write"]).exits(0);
    assert_eq!(project.read("CHANGELOG.md"), written);

    // A person goes over it: their words stay.
    let by_hand = written
        .replace("**api:** iban instead of fax", "Payouts have an IBAN.")
        .replace("### API\n\n", "### API\n\nRead this before you update.\n\n")
        .lines()
        .filter(|line| !line.contains("Upgraded `example`"))
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    project.write("CHANGELOG.md", &by_hand);
    project.run(&["changelog", "--write"]).exits(0).says(&["kept as reworded: Payouts have an IBAN."]);
    assert_eq!(project.read("CHANGELOG.md"), by_hand);
    project.run(&["changelog", "--check"]).exits(0);

    // What the evidence says must not be softened.
    let softened = by_hand.replace("no longer returns `fax`", "returns `fax` on demand");
    project.write("CHANGELOG.md", &softened);
    let checked = project.json(&["changelog", "--check"]);
    assert_eq!(checked["schema"], "plimsoll/changelog/v1");
    assert_eq!(failed(&checked), ["CHG-001"]);
    assert_eq!(checked["problems"][0]["expected"], "**Breaking:** `GET /payouts` no longer returns `fax`");
    project.run(&["changelog", "--check"]).exits(3).says(&["CHG-001", "does not say what the evidence says"]);
    project.run(&["changelog", "--write"]).exits(0).says(&["is not what the evidence says"]);
    project.run(&["changelog", "--check"]).exits(3);
    project.run(&["changelog", "--write", "--restore"]).exits(0).says(&["put back"]);
    project.run(&["changelog", "--check"]).exits(0);

    // The release: the section gets its name, its date and its link.
    project.run(&["changelog", "--release", "next", "--date", "2026-11-25", "--write"]).exits(0);
    let released = project.read("CHANGELOG.md");
    assert!(released.starts_with("# Changelog\n\n## [Unreleased]\n\n## [2.0.0] - 2026-11-25\n\n### Fixed\n\n- Payouts have an IBAN."), "{released}");
    assert!(released.ends_with("[unreleased]: https://e.example/p/compare/v2.0.0...HEAD\n[2.0.0]: https://e.example/p/compare/v1.2.3...v2.0.0\n"));
    project.write("Cargo.toml", &MANIFEST.replace("VERSION", "2.0.0")).repo.commit("chore: release 2.0.0");
    project.repo.git(&["tag", "v2.0.0"]);
    project.run(&["changelog", "--check"]).exits(0).says(&["2.0.0 of"]);
    project.write("CHANGELOG.md", &released.replace("- New column", "- A new column"));
    project.run(&["changelog", "--check"]).exits(3).says(&["CHG-001"]);
}

#[test]
fn advisories_that_vanish_and_appear() {
    let project = Project::released("1.2.3");
    let advisory = |id: &str, package: &str, fixed: &str| {
        json!({
            "id": id, "modified": "2026-01-01T00:00:00Z", "summary": "Reads past the end",
            "affected": [{"package": {"ecosystem": "crates.io", "name": package},
                          "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": fixed}]}]}],
        })
        .to_string()
    };
    project
        .write("osv/one.json", &advisory("OSV-2026-1", "example", "1.0.1"))
        .write("osv/two.json", &advisory("OSV-2026-2", "fresh", "0.2.0"));
    project
        .write("Cargo.lock", &lock(&[("example", "1.0.1"), ("serde", "1.0.0"), ("fresh", "0.1.0")]))
        .repo
        .commit("chore: update");
    let changelog = project.json(&["changelog", "--database", "osv"]);
    let text = changelog["text"].as_str().unwrap();
    assert!(text.contains("- OSV-2026-1 (severity unknown) in `example` 1.0.0 no longer affects this service: Reads past the end <!-- plimsoll security "), "{text}");
    assert!(
        text.contains("- OSV-2026-2 (severity unknown) in `fresh` 0.1.0 is known to affect this release")
    );
    assert_eq!(rules(&changelog, "contradictions"), ["VER-022"]);
    let next = project.json(&["version", "next", "--database", "osv"]);
    assert_eq!(rules(&next, "reasons"), ["VER-008", "VER-007", "VER-012"]);
    // Without advisories, what was found with them is left alone, and cannot be verified.
    project.run(&["changelog", "--database", "osv", "--write"]).exits(0);
    let written = project.read("CHANGELOG.md");
    project.run(&["changelog", "--write"]).exits(0);
    assert_eq!(project.read("CHANGELOG.md"), written);
    project.run(&["changelog", "--check"]).exits(5).says(&["no advisories are held here"]);
    project.run(&["changelog", "--check", "--database", "osv"]).exits(0);
}

#[test]
fn a_changelog_that_cannot_be_used_is_left_alone() {
    let project = Project::released("1.2.3");
    project.repo.commit("feat: a");
    for (bytes, code) in [(&b"# Changelog\n\n<!-- never\n"[..], "CHG-011"), (b"\xff\xfe", "REL-002")] {
        project.repo.write("CHANGELOG.md", bytes);
        project.run(&["changelog", "--write"]).exits(2).says(&[code]);
        assert_eq!(std::fs::read(project.repo.path().join("CHANGELOG.md")).unwrap(), bytes);
    }
    for arguments in
        [["--release", "one"], ["--date", "today"], ["--commit", "nowhere"], ["--since", "nowhere"]]
    {
        project.run(&[&["changelog"], &arguments[..]].concat()).exits(2);
    }
}

/// VER-1: enforced by the guard, against what runs.
#[test]
fn the_guard_refuses_a_version_that_says_less() {
    let mut world = World::new();
    world.repo.write("VERSION", "1.2.3\n");
    world.repo.write("openapi.json", openapi(&["id", "fax"]));
    let first = world.built("first", "well");
    world.plimsoll(["version", "next", "--env", "trial"]).exits(0).says(&["1.2.3", "the first release"]);
    world.plimsoll(["deploy", first.as_str(), "--env", "trial"]).exits(0);
    world.repo.write("openapi.json", openapi(&["id"]));
    world.repo.write("VERSION", "1.2.4\n");
    let second = world.built("second", "well");
    let refused = world.plimsoll(["deploy", second.as_str(), "--env", "trial"]).exits(3);
    refused.says(&["VER-201", "at least 2.0.0", "VER-001: 1 break of the API", "1.2.4"]);
    let next = world.plimsoll(["version", "next", "--env", "trial"]).exits(0);
    next.says(&["2.0.0", &format!("major after 1.2.3 (commit {})", first.short())]);
    world.plimsoll(["version", "next", "--env", "nowhere"]).exits(2);
    world.repo.write("VERSION", "2.0.0\n");
    let third = world.built("third", "well");
    world.plimsoll(["deploy", third.as_str(), "--env", "trial"]).exits(0);
    // Going back needs no version.
    world.plimsoll(["rollback", "--to", first.as_str(), "--env", "trial"]).exits(0);
}
