//! SIG-4: verification becomes mandatory by itself, says so, and goes back to
//! soft only by name and for a time.

use crate::evidence::signing_world;

#[test]
fn the_ratchet_clicks_and_is_recorded() {
    let mut world = signing_world("min_samples = 3\nthreshold = 0.6\n");
    let coverage = |world: &crate::world::World| {
        world.json(["status", "--env", "trial"])["environments"][0]["signature_coverage"].clone()
    };
    let unsigned = ["--set", "signing.key=file:stranger.key"];
    let deploy = |world: &crate::world::World, sha: &plimsoll_model::Commit, code| {
        world.plimsoll(["deploy", sha.as_str(), "--env", "trial"]).exits(code)
    };
    // Two of three: above 0.6 of at least 3.
    let first = world.release("first", "well");
    world.plimsoll(["build"].into_iter().chain(unsigned)).exits(0);
    deploy(&world, &first, 0).says(&["SIG-001", "unverified: key_not_found"]);
    for name in ["second", "third"] {
        let sha = world.built(name, "well");
        deploy(&world, &sha, 0);
    }
    let now = coverage(&world);
    assert_eq!((&now["signed"], &now["deployed"]), (&2.into(), &3.into()), "{now:#}");
    assert_eq!(now["samples"].as_array().unwrap().len(), 3);
    // A look does not click it; a decision does, and is refused by it.
    let fourth = world.release("fourth", "well");
    world.plimsoll(["build"].into_iter().chain(unsigned)).exits(0);
    world.plimsoll(["deploy", fourth.as_str(), "--env", "trial", "--dry-run"]).exits(3);
    assert!(coverage(&world)["reason"].as_str().unwrap().contains("from the next decision on"));
    deploy(&world, &fourth, 3).says(&["mandatory since ledger entry"]);
    let now = coverage(&world);
    assert_eq!(now["mandatory"], true);
    assert!(now["reason"].as_str().unwrap().contains("ledger entry"), "{now:#}");
    let metrics = world.plimsoll(["metrics"]).exits(0).stdout;
    assert!(metrics.contains("signature_verification_escalated{environment=\"trial\"} 1"), "{metrics}");
    assert!(metrics.contains("signature_verification_softened{environment=\"trial\"} 0"), "{metrics}");
    assert!(metrics.contains("signature_signed_releases{environment=\"trial\"} 2"), "{metrics}");
    // Where one can go back to, says the policy too.
    let status = world.json(["status", "--env", "trial"]);
    let ways = status["environments"][0]["ways_back"].as_array().unwrap();
    let way = |sha: &plimsoll_model::Commit| {
        ways.iter().find(|way| way["image_sha"] == sha.as_str()).unwrap_or_else(|| panic!("{status:#}"))
    };
    assert_eq!(way(&first)["possible"], false, "{status:#}");
    assert!(way(&first)["reason"].as_str().unwrap().contains("mandatory"), "{status:#}");
    world.plimsoll(["rollback", "--to", first.as_str(), "--env", "trial"]).exits(3).says(&["SIG-001"]);
    // Back to soft: by name, with a reason, for a time.
    world
        .plimsoll(["policy", "soften", "--env", "trial", "--reason", "the key is lost", "--for", "8d"])
        .exits(2);
    let soften = ["policy", "soften", "--env", "trial", "--reason", "the key is lost", "--for", "1h"];
    assert!(world.json(soften)["ledger_entry"].as_u64().is_some());
    deploy(&world, &fourth, 0).says(&["SIG-002", "soft by ann", "the key is lost"]);
    assert_eq!(coverage(&world)["mandatory"], false);
    // What changed the rules is in the history; an override too.
    let history = world.json(["history", "--env", "trial"]);
    let whats: Vec<_> =
        history["history"].as_array().unwrap().iter().map(|row| row["what"].clone()).collect();
    for what in ["escalation", "softening"] {
        assert!(whats.contains(&what.into()), "{history:#}");
    }
    // Another environment has its own ratchet.
    let blue = &world.json(["status", "--env", "blue"])["environments"][0];
    assert_eq!(blue["signature_coverage"]["mandatory"], false);
    let replayed = world.json(["policy", "replay"]);
    assert!(replayed["decisions"].as_array().unwrap().iter().all(|one| one["same"] == true), "{replayed:#}");
    world.plimsoll(["ledger", "verify"]).exits(0);
}

/// Policies are tested against recorded facts, before they bite.
#[test]
fn a_policy_is_tested_against_recorded_facts() {
    let mut world = signing_world("");
    let sha = world.built("first", "well");
    world.plimsoll(["policy", "check", sha.as_str(), "--env", "trial", "--facts", "facts.json"]).exits(0);
    let cases = |mode: &str| {
        format!(
            "facts = \"../facts.json\"\n[[case]]\nname = \"signed\"\nexpect = {{ allowed = true }}\n[[case]]\nname = \"unsigned\"\nset = {{ \"/evidence/signature\" = {{ state = \"missing\" }} }}\nexpect = {mode}\n"
        )
    };
    world.repo.write("policy-tests/signature.toml", cases("{ allowed = true, warn = [\"SIG-001\"] }"));
    world.plimsoll(["policy", "test"]).exits(0).says(&["2 passed, 0 failed"]);
    let mandatory = ["policy", "test", "--set", "verification.mode=mandatory"];
    world.plimsoll(mandatory).exits(3).says(&["expected allowed, is refused", "1 passed, 1 failed"]);
    world.repo.write("policy-tests/signature.toml", cases("{ allowed = false, fail = [\"SIG-001\"] }"));
    world.plimsoll(mandatory).exits(0);
}
