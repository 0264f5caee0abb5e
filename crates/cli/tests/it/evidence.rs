//! What a build proves of its image, and what the guard makes of it: signed,
//! unsigned, by a stranger, of another image, unreadable.

use plimsoll_model::Commit;
use plimsoll_testkit::peer;
use plimsoll_testkit::registry::Fault;
use plimsoll_testkit::sigstore::{Claims, Log, Sigstore};
use serde_json::Value;

use crate::world::World;

const KEYS: &str = r#"
[signing]
key      = "file:release.key"
password = "file:password"

[verification]
public_keys = ["file:release.pub"]
"#;

/// A world that signs with a key of its own.
pub(crate) fn signing_world(more: &str) -> World {
    let world = World::new();
    world.repo.write("password", "correct horse");
    world.repo.write(".gitignore", "replicas.env\npassword\n*.key\n*.pub\nadvisories\n");
    for name in ["release", "stranger"] {
        let generate = ["keys", "generate", "--out", name, "--password", "file:password"];
        world.plimsoll(generate).exits(0);
    }
    world.repo.write("plimsoll.toml", world.configuration() + KEYS + more);
    world
}

pub(crate) fn check<'a>(document: &'a Value, code: &str) -> &'a Value {
    let checks = document["decision"]["checks"].as_array();
    let found = checks.into_iter().flatten().find(|check| check["code"] == code);
    found.unwrap_or_else(|| panic!("no check {code} in {document:#}"))
}

fn attached(world: &World, sha: &Commit) -> Vec<(String, String)> {
    let report = world.json(["verify", sha.as_str()]);
    let mut roles: Vec<_> = report["evidence"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let text = |key: &str| one[key].as_str().unwrap_or("?").to_owned();
            (text("role"), text("outcome"))
        })
        .collect();
    roles.sort();
    roles
}

/// SBM-2, SIG-1, SIG-2: everything a build says is on the image, once.
#[test]
fn a_build_attaches_its_evidence_and_says_so() {
    let mut world = signing_world("");
    let sha = world.release("first", "well");
    let built = world.json(["build"]);
    assert_eq!(built["signature_status"], "verified");
    assert_eq!(built["signature_reason"], "");
    assert!(built["sbom_ref"].as_str().unwrap().starts_with(&format!("{}@sha256:", world.repository())));
    let all =
        ["provenance", "record", "sbom", "sbom", "signature"].map(|role| (role.into(), "verified".into()));
    assert_eq!(attached(&world, &sha), all);
    // The same again adds nothing.
    let again = world.json(["build"]);
    assert_eq!((&again["already_present"], &again["signature_status"]), (&true.into(), &"verified".into()));
    assert_eq!(attached(&world, &sha), all);
    let deployed = world.json(["deploy", sha.as_str(), "--env", "trial"]);
    for code in ["SIG-001", "SIG-003", "GRD-008", "PRV-001", "SBM-001"] {
        assert_eq!(check(&deployed, code)["outcome"], "pass", "{deployed:#}");
    }
}

/// Kept with the image, and attached when that is pushed.
#[test]
fn what_is_not_pushed_keeps_its_evidence() {
    let mut world = signing_world("");
    let sha = world.release("first", "well");
    let kept = world.json(["build", "--no-push"]);
    assert_eq!((&kept["signature_status"], &kept["pushed"]), (&"unverified".into(), &false.into()));
    let pushed = world.json(["push", sha.as_str()]);
    assert_eq!(pushed["signature_status"], "verified");
    let roles: Vec<_> = attached(&world, &sha).into_iter().map(|(role, _)| role).collect();
    assert_eq!(roles, ["provenance", "record", "sbom", "sbom", "signature"]);
}

/// With the record on the image a deployment elsewhere needs no shared ledger.
#[test]
fn another_machine_deploys_by_the_record_on_the_image() {
    let mut world = signing_world("");
    let sha = world.built("first", "well");
    std::fs::remove_dir_all(world.state()).unwrap();
    let deployed = world.json(["deploy", sha.as_str(), "--env", "trial"]);
    assert_eq!(deployed["outcome"], "succeeded", "{deployed:#}");
    let entry = world.json(["show", sha.as_str()]);
    assert_eq!(entry["running_in"][0], "trial");
    // A stranger's record is none.
    let second = world.release("second", "well");
    world.plimsoll(["build", "--set", "signing.key=file:stranger.key"]).exits(0);
    world.plimsoll(["down", "--env", "trial"]).exits(0);
    std::fs::remove_dir_all(world.state()).unwrap();
    world.plimsoll(["deploy", second.as_str(), "--env", "trial"]).exits(3).says(&["GRD-001"]);
}

#[test]
fn a_stranger_is_let_in_softly_and_refused_where_that_is_mandatory() {
    let mut world = signing_world("");
    let sha = world.release("first", "well");
    let built = world.json(["build", "--set", "signing.key=file:stranger.key"]);
    assert_eq!(
        (&built["signature_status"], &built["signature_reason"]),
        (&"unverified".into(), &"key_not_found".into())
    );
    let deploy = ["deploy", sha.as_str(), "--env", "trial"];
    let mandatory = ["--set", "verification.mode=mandatory"];
    let refused = world.plimsoll(deploy.into_iter().chain(mandatory)).exits(3);
    refused.says(&["SIG-001", "key_not_found", "nothing was touched"]);
    // Somebody answers for it: recorded, for this commit, until it expires.
    let approve = ["--approve", "SIG-001=the signer is down"];
    let approved = world.json(deploy.into_iter().chain(mandatory).chain(approve));
    assert_eq!(check(&approved, "SIG-001")["outcome"], "warn");
    assert!(check(&approved, "SIG-001")["hint"].as_str().unwrap().starts_with("approved by ann until"));
    assert_eq!(approved["outcome"], "succeeded");
    // It counts until it expires, and only for that check.
    world.plimsoll(deploy.into_iter().chain(mandatory)).exits(0);
    world.plimsoll(deploy.into_iter().chain(["--approve", "SIG-001"])).exits(2);
    world.plimsoll(deploy.into_iter().chain(["--approve", "NOPE-1=x"])).exits(2);
    // Every decision comes out the same when it is decided again.
    let replayed = world.json(["policy", "replay"]);
    assert!(replayed["decisions"].as_array().unwrap().iter().all(|one| one["same"] == true), "{replayed:#}");
    world.plimsoll(["ledger", "verify"]).exits(0);
}

/// SBM-2: evidence of another image is an integrity violation, everywhere.
#[test]
fn borrowed_proof_is_a_violation() {
    let mut world = signing_world("");
    let first = world.built("first", "well");
    let second = world.built("second", "well");
    world.plimsoll(["deploy", second.as_str(), "--env", "trial"]).exits(0);
    world.plimsoll(["deploy", second.as_str(), "--env", "trial"]).exits(0);
    let host = world.registry.host();
    let borrowed = crate::http::borrow_evidence(&host, "acme/echo", first.as_str(), second.as_str());
    assert_eq!(borrowed, 5);
    for command in [vec!["deploy", second.as_str(), "--env", "trial"], vec!["verify", second.as_str()]] {
        world.plimsoll(command).exits(4).says(&["SIG-003", "about sha256:"]);
    }
    // Also on the way back.
    let third = world.built("third", "well");
    world.plimsoll(["deploy", third.as_str(), "--env", "trial"]).exits(0);
    world.plimsoll(["rollback", "--to", second.as_str(), "--env", "trial"]).exits(4).says(&["SIG-003"]);
    assert_eq!(world.drift("trial")["state"], "none");
}

/// A registry that does not say what is attached has not said "unsigned".
#[test]
fn what_cannot_be_listed_is_not_unsigned() {
    let mut world = signing_world("");
    let first = world.built("first", "well");
    world.plimsoll(["deploy", first.as_str(), "--env", "trial"]).exits(0);
    let second = world.built("second", "well");
    let deploy = ["deploy", second.as_str(), "--env", "trial"];
    let faults = world.registry.faults().clone();
    let faulty = [
        Fault::Status { status: 429, retry_after: Some(0) },
        Fault::Status { status: 500, retry_after: Some(0) },
        Fault::Html,
        Fault::Body("{\"manifests\": 7}".into()),
        Fault::Truncate(10),
    ];
    for fault in faulty {
        faults.on("GET", "/referrers/").then(fault);
        let run = world.plimsoll(deploy.into_iter().chain(["--output", "json"])).exits(5);
        let found = check(&run.json(), "SIG-001")["found"].as_str().unwrap().to_owned();
        assert!(found.starts_with("unknown: "), "{found}");
        faults.clear();
    }
    // The way back goes on, on what the ledger proves: SIG-001 verified there.
    world.plimsoll(deploy).exits(0);
    faults.on("GET", "/referrers/").then(Fault::Status { status: 500, retry_after: Some(0) });
    let mandatory = ["--set", "verification.mode=mandatory"];
    let back = ["rollback", "--to", first.as_str(), "--env", "trial"];
    let back = world.json(back.into_iter().chain(mandatory));
    assert_eq!(
        (&back["outcome"], &check(&back, "SIG-001")["outcome"]),
        (&"succeeded".into(), &"warn".into())
    );
    // And it counts as signed as before.
    let status = world.json(["status", "--env", "trial"]);
    let coverage = &status["environments"][0]["signature_coverage"];
    assert!(coverage["samples"].as_array().unwrap().iter().all(|one| one["signed"] == true), "{coverage:#}");
}

/// BLD-6: nothing of an image with a credential leaves this machine.
#[test]
fn a_credential_stops_the_build() {
    let mut world = signing_world("");
    let token = format!("AKIA{}", "QWERTYUIOPASDFGH");
    let secret = "wJalrXUtnFEMIK7MDENGbPxRfiCYzZq0aB3dE9fG";
    world.repo.write("behaviour", "");
    let sha =
        world.release("first", &format!("well AWS_ACCESS_KEY_ID={token} AWS_SECRET_ACCESS_KEY={secret}"));
    let run = world.plimsoll(["build"]).exits(3);
    let said = run.says(&["SCN-010", "/etc/service.conf", "nothing was pushed", "[[secrets.allow]]"]);
    assert!(!said.stderr.contains(secret) && !said.stderr.contains(&token), "{}", said.stderr);
    let host = world.registry.host();
    assert_eq!(crate::http::get(&host, &format!("/v2/acme/echo/manifests/{sha}")).status, 404);
    // The whole ledger does not have it either.
    let export = world.plimsoll(["ledger", "export"]).exits(0);
    assert!(!export.stdout.contains(secret));
    let rule = said.stderr.split("rule = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let allow = format!(
        "\n[[secrets.allow]]\nrule = \"{rule}\"\npath = \"/etc/service.conf\"\nreason = \"a test value\"\n"
    );
    world.repo.write("plimsoll.toml", world.configuration() + KEYS + &allow);
    world.repo.commit("allow it");
    world.plimsoll(["build"]).exits(0).says(&["allowed: a test value"]);
}

/// SBM-3: looked at again at each deployment, with the advisories of then.
#[test]
fn advisories_decide_at_each_deployment() {
    let mut world = signing_world("\n[sbom]\nadvisories = \"advisories\"\n");
    world.repo.write(
        "Cargo.lock",
        "version = 4\n\n[[package]]\nname = \"example\"\nversion = \"1.0.0\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"0000000000000000000000000000000000000000000000000000000000000001\"\n",
    );
    let advisory = |id: &str, package: &str| {
        format!(
            r#"{{"id":"{id}","modified":"2026-01-01T00:00:00Z","aliases":["CVE-2026-0001"],"database_specific":{{"severity":"CRITICAL"}},"affected":[{{"package":{{"ecosystem":"crates.io","name":"{package}"}},"ranges":[{{"type":"SEMVER","events":[{{"introduced":"0"}},{{"fixed":"1.0.1"}}]}}]}}]}}"#
        )
    };
    world.repo.write("advisories/one.json", advisory("TEST-0001", "unrelated"));
    let sha = world.built("first", "well");
    let deploy = ["deploy", sha.as_str(), "--env", "trial", "--dry-run"];
    let clean = world.json(deploy);
    assert_eq!(check(&clean, "SBM-002")["outcome"], "pass", "{clean:#}");
    // A day later.
    world.repo.write("advisories/two.json", advisory("TEST-0002", "example"));
    let run = world.plimsoll(deploy.into_iter().chain(["--output", "json"])).exits(3);
    let document = run.json();
    assert_eq!(check(&document, "SBM-002")["outcome"], "fail");
    assert!(check(&document, "SBM-002")["found"].as_str().unwrap().contains("TEST-0002"), "{document:#}");
    let ignore = "\n[[sbom.policy.ignore]]\nid = \"CVE-2026-0001\"\nreason = \"not reachable\"\n";
    world.repo.write(
        "plimsoll.toml",
        world.configuration() + KEYS + "\n[sbom]\nadvisories = \"advisories\"\n" + ignore,
    );
    world.plimsoll(deploy).exits(0);
    // Advisories that cannot be read are no clean bill.
    std::fs::remove_dir_all(world.path().join("advisories")).unwrap();
    let run = world.plimsoll(deploy.into_iter().chain(["--output", "json"])).exits(5);
    assert_eq!(check(&run.json(), "SBM-002")["severity"], "unknown");
}

/// BLD-2: somebody else built it again, and the policy may demand that.
#[test]
fn a_rebuild_is_attested_and_can_be_demanded() {
    let demand = "\n[environments.trial.policy]\nrebuild = \"require\"\n";
    let mut world = signing_world(demand);
    let sha = world.built("first", "well");
    let deploy = ["deploy", sha.as_str(), "--env", "trial", "--dry-run"];
    world.plimsoll(deploy).exits(3).says(&["PRV-002"]);
    let verified = world.json(["verify", sha.as_str(), "--rebuild"]);
    assert_eq!(verified["rebuild"]["identical"], true);
    assert!(verified["rebuild"]["attested"].as_str().unwrap().starts_with("sha256:"));
    world.plimsoll(deploy).exits(0);
}

/// SIG-1: by an identity, with nothing but a token; and only that identity counts.
#[test]
fn an_identity_signs_without_a_key() {
    let sigstore = Sigstore::start();
    let mut world = World::new();
    world.repo.write(".gitignore", "replicas.env\n*.json\ntoken\n");
    world.repo.write("trusted_root.json", sigstore.trusted_root());
    let claims = Claims::github("acme/payouts");
    for (log, name) in [(Log::V1, "first"), (Log::V2, "second")] {
        world.repo.write("signing_config.json", sigstore.signing_config(log));
        world.repo.write("token", sigstore.token(&claims));
        let base = world.configuration();
        let configuration = |subject: &str| {
            base.clone()
                + &format!(
                    "\n[signing]\nkeyless = true\nidentity_token = \"file:token\"\nsigning_config = \"file:signing_config.json\"\n\n[verification]\nmode = \"mandatory\"\ntrusted_root = \"file:trusted_root.json\"\nidentities = [{{ issuer = \"{}\", subject = \"{subject}\" }}]\n",
                    sigstore.issuer().url()
                )
        };
        world.repo.write("plimsoll.toml", configuration("https://github.com/acme/*"));
        let sha = world.release(name, "well");
        // No token: told before anything is published.
        world.plimsoll(["build", "--set", "signing.identity_token=env:NO_TOKEN"]).exits(2);
        let host = world.registry.host();
        let tag = format!("/v2/acme/echo/manifests/{sha}");
        assert_eq!(crate::http::get(&host, &tag).status, 404);
        world.repo.write("token", "e30.e30.c2ln");
        world.plimsoll(["build"]).exits(2).says(&["KLS-"]);
        assert_eq!(crate::http::get(&host, &tag).status, 404);
        world.repo.write("token", sigstore.token(&claims));
        let built = world.json(["build"]);
        assert_eq!(built["signature_status"], "verified", "{built:#}");
        world.plimsoll(["deploy", sha.as_str(), "--env", "trial", "--dry-run"]).exits(0);
        world.repo.write("plimsoll.toml", configuration("https://github.com/evil/*"));
        let refused = world.plimsoll(["deploy", sha.as_str(), "--env", "trial", "--dry-run"]).exits(3);
        refused.says(&["SIG-001", "who is not trusted"]);
    }
}

/// SIG-1: a program that holds the key signs what it is given.
#[test]
fn a_program_signs() {
    let Some(peers) = peer::require(&["openssl"]) else { return };
    let mut world = World::new();
    world.repo.write(".gitignore", "replicas.env\n*.key\n*.pub\n");
    for arguments in [
        vec!["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "token.key"],
        vec!["ec", "-in", "token.key", "-pubout", "-out", "token.pub"],
    ] {
        let made = peers.command("openssl").args(arguments).current_dir(world.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    let signing = |command: &str| {
        format!(
            "\n[signing]\nkey = \"command:{command}\"\npublic_key = \"file:token.pub\"\n\n[verification]\nmode = \"mandatory\"\npublic_keys = [\"file:token.pub\"]\n"
        )
    };
    let base = world.configuration();
    world.repo.write("plimsoll.toml", base.clone() + &signing("openssl dgst -sha256 -sign token.key"));
    let sha = world.release("first", "well");
    let built = world.json(["build"]);
    assert_eq!(built["signature_status"], "verified", "{built:#}");
    world.plimsoll(["deploy", sha.as_str(), "--env", "trial", "--dry-run"]).exits(0);
    // What it answers is believed only when it verifies.
    for (command, why) in [("echo c2lnbmF0dXJl", "gave no signature"), ("false", "exit status: 1")] {
        world.repo.write("plimsoll.toml", base.clone() + &signing(command));
        world.plimsoll(["sign", sha.as_str(), "--force"]).exits(5).says(&[why, "nothing was signed"]);
    }
}

/// The image of another tool's signature and attestations, both schemes.
#[test]
fn cosign_reads_and_writes_what_we_do() {
    let Some(peers) = peer::require(&["cosign", "cosign2"]) else { return };
    let mut world = signing_world("\n[environments.trial.policy]\nprovenance = \"off\"\n");
    let sha = world.release("first", "well");
    let built = world.json(["build", "--set", "signing.legacy=true"]);
    let image = format!("{}@{}", world.repository(), built["image_digest"].as_str().unwrap());
    let run = |tool: &str, arguments: &[&str]| {
        let mut command = peers.command(tool);
        command.args(arguments).arg("--allow-insecure-registry").arg(&image).current_dir(world.path());
        command.env("COSIGN_PASSWORD", "correct horse");
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let good = |tool: &str, arguments: &[&str]| {
        let (success, stderr) = run(tool, arguments);
        assert!(success, "{tool} {arguments:?}: {stderr}");
    };
    let keyed = ["--key", "release.pub", "--insecure-ignore-tlog=true"];
    world.plimsoll(["sign", sha.as_str(), "--set", "signing.legacy=true"]).exits(0);
    world.plimsoll(["sign", sha.as_str(), "--set", "signing.legacy=true", "--force"]).exits(0);
    good("cosign", &[&["verify"], &keyed[..]].concat());
    good("cosign2", &[&["verify"], &keyed[..]].concat());
    for kind in ["cyclonedx", "spdxjson", "slsaprovenance1", "https://plimsoll.dev/build/v1"] {
        good("cosign", &[&["verify-attestation", "--type", kind], &keyed[..]].concat());
    }
    let stranger = ["verify", "--key", "stranger.pub", "--insecure-ignore-tlog=true"];
    assert!(!run("cosign", &stranger).0 && !run("cosign2", &stranger).0);

    // And the other way: an image that only cosign has signed.
    let trusting = "\n[verification]\nmode = \"mandatory\"\npublic_keys = [\"file:release.pub\"]\n";
    world.repo.write("plimsoll.toml", world.configuration() + trusting);
    for (tool, name) in [("cosign", "second"), ("cosign2", "third")] {
        let sha = world.release(name, "well");
        let built = world.json(["build"]);
        assert_eq!(built["signature_reason"], "missing");
        world.plimsoll(["deploy", sha.as_str(), "--env", "trial", "--dry-run"]).exits(3);
        let image = format!("{}@{}", world.repository(), built["image_digest"].as_str().unwrap());
        let mut command = peers.command(tool);
        command.args(["sign", "--key", "release.key", "--yes", "--allow-insecure-registry"]);
        if tool == "cosign" {
            let config = world.path().join("offline.json");
            let made =
                peers.command("cosign").args(["signing-config", "create", "--out"]).arg(&config).status();
            assert!(made.unwrap().success());
            command.arg("--signing-config").arg(config);
        } else {
            command.arg("--tlog-upload=false");
        }
        command.arg(&image).current_dir(world.path()).env("COSIGN_PASSWORD", "correct horse");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let deployed = world.json(["deploy", sha.as_str(), "--env", "trial", "--dry-run"]);
        assert_eq!(check(&deployed, "SIG-001")["outcome"], "pass", "{deployed:#}");
    }
    world.plimsoll(["verify", sha.as_str()]).exits(0);
}

/// Signing again says nothing that was not said.
#[test]
fn what_was_signed_before_is_not_signed_again() {
    let mut world = signing_world("");
    let sha = world.built("first", "well");
    let entries = || world.plimsoll(["ledger", "export"]).exits(0).stdout.lines().count();
    let signatures = || attached(&world, &sha).into_iter().filter(|(role, _)| role == "signature").count();
    let sign = |more: &[&'static str]| {
        world.json(["sign", sha.as_str()].into_iter().chain(more.iter().copied()))["attached"].clone()
    };
    let (before, count) = (entries(), signatures());
    let again = sign(&[]);
    assert_eq!(
        (again.as_array().unwrap().len(), &again[0]["already_present"]),
        (1, &true.into()),
        "{again:#}"
    );
    assert_eq!(
        (entries(), signatures()),
        (before, count),
        "nothing was attached, and nothing is written down"
    );
    world.plimsoll(["sign", sha.as_str()]).exits(0).says(&[
        "(was there)",
        "signed before with this key",
        "--force",
    ]);
    // The older scheme is another place: what is missing there is added, once.
    let legacy = ["--set", "signing.legacy=true"];
    let added = sign(&legacy);
    assert_eq!((&added[0]["already_present"], &added[1]["already_present"]), (&true.into(), &false.into()));
    assert!(added[1]["reference"].as_str().unwrap().ends_with(".sig"), "{added:#}");
    assert!(sign(&legacy).as_array().unwrap().iter().all(|one| one["already_present"] == true));
    // Another key's is another signature; and whoever wants a second one gets it.
    assert_eq!(sign(&["--set", "signing.key=file:stranger.key"])[0]["already_present"], false);
    let before = signatures();
    assert_eq!(sign(&["--force"])[0]["already_present"], false);
    assert_eq!(signatures(), before + 1);
    world.plimsoll(["verify", sha.as_str()]).exits(0);
}

/// Statements that no rule asks for cost a deployment nothing.
#[test]
fn what_no_rule_asks_for_is_not_fetched_by_the_guard() {
    let mut world = signing_world("");
    let sha = world.built("first", "well");
    world.repo.write(".git/note.json", "{}");
    for n in 0..15 {
        let kind = format!("https://example.com/note/{n}");
        let note = ["attest", sha.as_str(), "--type", &kind, "--predicate", ".git/note.json"];
        world.plimsoll(note).exits(0);
    }
    let faults = world.registry.faults().clone();
    let requests = |arguments: &[&str]| {
        let _ = std::fs::remove_dir_all(world.state().join("store"));
        faults.forget_requests();
        world.plimsoll(arguments.iter().copied()).exits(0);
        faults.requests().len()
    };
    // Two tags, the configuration, four lists; and the manifests: of all of them,
    // or of the five that a build makes.
    assert_eq!(requests(&["verify", sha.as_str()]), 27);
    assert_eq!(requests(&["deploy", sha.as_str(), "--env", "trial", "--dry-run"]), 12);
    assert_eq!(world.json(["verify", sha.as_str()])["evidence"].as_array().unwrap().len(), 20);
}

/// Bad input ends at once, and touches nothing.
#[test]
fn bad_input_is_told() {
    let mut world = signing_world("");
    let sha = world.built("first", "well");
    let digest = world.json(["verify", sha.as_str()])["image_digest"].as_str().unwrap().to_owned();
    let image = format!("{}@{digest}", world.repository());
    let absent = format!("{}@sha256:{}", world.repository(), "0".repeat(64));
    world.repo.write("not.json", "{");
    for (arguments, code, words) in [
        (vec!["sign", "latest"], 2, "a name that cannot move"),
        (vec!["verify", &image], 2, "commit's record"),
        (vec!["sign", &absent], 2, "there is no image"),
        (vec!["sign", &image, "--set", "signing.key=file:nowhere.key"], 2, "nowhere.key"),
        (vec!["sign", &image, "--set", "signing.key=file:release.pub"], 2, "it is a public key"),
        (vec!["sign", &image, "--set", "signing.password=file:release.pub"], 2, "does not open"),
        (vec!["attest", &image, "--type", "sbom", "--predicate", "not.json"], 2, "predicate type"),
        (vec!["attest", &image, "--type", "vuln", "--predicate", "not.json"], 2, "is not JSON"),
        (vec!["attest", &image, "--type", "vuln", "--predicate", "none"], 2, "cannot read"),
        (vec!["keys", "generate", "--out", "release"], 2, "never overwritten"),
        (vec!["keys", "generate", "--out", "new", "--password", "hunter2"], 2, "never the password itself"),
        (vec!["keys", "generate", "--out", "new"], 2, "COSIGN_PASSWORD"),
        (vec!["sbom", "generate", "nowhere"], 2, "neither a path here nor an image"),
        (vec!["sbom", "scan", "service"], 2, "no advisories are named"),
        (vec!["verify", sha.as_str(), "--set", "verification.public_keys=[\"file:password\"]"], 2, "SIG-121"),
        (vec!["verify-bundle", "--bundle", "not.json", "service"], 2, "who must have signed"),
        (vec!["policy", "soften", "--env", "trial", "--reason", " "], 2, "a reason"),
        (vec!["policy", "soften", "--env", "trial", "--reason", "x"], 2, "not mandatory"),
        (vec!["policy", "replay", "1"], 2, "no decision"),
        (vec!["policy", "test", "not.json"], 2, "policy cases"),
    ] {
        let run = world.plimsoll(arguments.iter().copied());
        assert_eq!(run.code(), code, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(words), "{arguments:?}: {}", run.stderr);
    }
    assert!(!world.path().join("new.key").exists());
}
