//! The public Sigstore conformance suite: every bundle of it, over the file and
//! over the file's digest. A checkout of `sigstore/sigstore-conformance` is
//! named by `PLIMSOLL_CONFORMANCE_DIR`; nothing of the suite is kept here.
#![allow(clippy::unwrap_used)]

use std::env;
use std::fs;
use std::path::Path;

use plimsoll_evidence_trust::conformance::{By, Subject, embedded_root, verify_bundle};

/// Names the checkout.
const FOLDER: &str = "PLIMSOLL_CONFORMANCE_DIR";
/// Who signed where a case does not say (the suite's `test/client.py`).
const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
/// Of which issuer.
const ISSUER: &str = "https://token.actions.githubusercontent.com";
/// A checkout with fewer cases than the suite had in 2026 is no checkout of it.
const AT_LEAST: usize = 70;

/// One case by the rules of the suite's `assets/bundle-verify/README.md`: over
/// the file, and over its digest.
fn verdicts(case: &Path) -> [Result<(), String>; 2] {
    let text = |name: &str| fs::read_to_string(case.join(name)).ok();
    let bundle = text("bundle.sigstore.json").unwrap();
    let root = text("trusted_root.json").unwrap_or_else(|| embedded_root(false).to_owned());
    let stated = |name: &str, usual: &str| text(name).map_or(usual.to_owned(), |text| text.trim().to_owned());
    let by = text("key.pub").map_or_else(
        || By::Identity { subject: stated("identity", IDENTITY), issuer: stated("issuer", ISSUER) },
        By::Key,
    );
    let artifact =
        fs::read(case.join("artifact")).or_else(|_| fs::read(case.with_file_name("a.txt"))).unwrap();
    let digest = plimsoll_oci::digest_of(&artifact);
    [Subject::Bytes(&artifact), Subject::Digest(digest)]
        .map(|subject| verify_bundle(&bundle, &subject, &by, &root))
}

/// Not a peer that can be installed: absent, it is a skip even where peers are
/// required.
#[test]
#[allow(clippy::print_stderr, reason = "a skip is to be seen in the test's output, and so are the counts")]
fn every_case_of_the_public_suite_is_judged_as_it_demands() {
    let Some(folder) = env::var_os(FOLDER) else {
        eprintln!("skipped: needs a checkout of sigstore/sigstore-conformance, named by {FOLDER}");
        return;
    };
    let folder = Path::new(&folder).join("test/assets/bundle-verify");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut cases: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    assert!(cases.len() >= AT_LEAST, "{} has only {} cases", folder.display(), cases.len());
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for case in &cases {
        let name = case.file_name().unwrap().to_string_lossy();
        for (over, verdict) in ["file", "digest"].into_iter().zip(verdicts(case)) {
            match (name.ends_with("fail"), verdict) {
                (false, Ok(())) => accepted += 1,
                (true, Err(_)) => refused += 1,
                (false, Err(why)) => wrong.push(format!("{name} over the {over} must verify: {why}")),
                (true, Ok(())) => wrong.push(format!("{name} over the {over} must not verify")),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    eprintln!("{} cases: {accepted} accepted, {refused} refused, as the suite demands", cases.len());
}
