//! Documents read, applied, written and read again.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use plimsoll_model::Diagnose as _;
use serde_json::{Value, json};

use super::{VexDocument, from_ignores};
use crate::scan::tests::{advisory, fixed, scan};
use crate::{Ignore, Report};

const IMAGE: &str = "pkg:oci/payouts@sha256%3Aaa?repository_url=registry.example.com/acme/payouts";
const DEB: &str = "pkg:deb/debian/a@1.0-1?arch=amd64&distro=debian-12";
const NPM: &str = "pkg:npm/b@1.0.0";

fn report() -> Report {
    let advisories = [
        advisory("DSA-1", &["CVE-1"], "Debian:12", "a", &fixed("2.0-1")),
        advisory("GHSA-2", &["CVE-2"], "npm", "b", &fixed("2.0.0")),
    ];
    scan(&advisories, &[DEB, NPM])
}

fn document(statements: &Value) -> Result<VexDocument, String> {
    let json = json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "x", "author": "A", "version": 1,
        "timestamp": "2099-01-01T00:00:00Z", "statements": statements});
    VexDocument::parse(Path::new("x.json"), json.to_string().as_bytes()).map_err(|why| why.to_string())
}

/// Ids that are suppressed.
fn suppressed(documents: &[VexDocument], products: &[&str]) -> Vec<String> {
    let mut report = report();
    let products: Vec<String> = products.iter().map(|product| (*product).into()).collect();
    report.apply_vex(documents, &products);
    report
        .findings
        .into_iter()
        .filter(|finding| finding.suppressed.is_some())
        .map(|finding| finding.id)
        .collect()
}

fn statement(vulnerability: &str, status: &str, product: &Value) -> Value {
    json!({"vulnerability": {"name": vulnerability}, "products": [product], "status": status,
        "justification": "vulnerable_code_not_present"})
}

#[test]
fn a_statement_counts_for_its_product_and_no_other() {
    let image = json!({"@id": IMAGE});
    let part = json!({"@id": IMAGE, "subcomponents": [{"@id": "pkg:deb/debian/a"}]});
    let other_part = json!({"@id": IMAGE, "subcomponents": [{"@id": "pkg:deb/debian/other"}]});
    let by_digest = json!({"@id": "x", "hashes": {"sha-256": "aa"}});
    for (product, known_as, expected) in [
        (json!({"@id": "pkg:deb/debian/a@1.0-1"}), &[][..], &["DSA-1"][..]),
        (json!({"@id": "pkg:deb/debian/a"}), &[], &["DSA-1"]),
        (json!({"@id": "pkg:deb/debian/a@2.0-1"}), &[], &[]),
        (json!({"@id": "x", "identifiers": {"purl": DEB}}), &[], &["DSA-1"]),
        (image.clone(), &[IMAGE], &["DSA-1"]),
        (image, &["pkg:oci/other@sha256%3Abb"], &[]),
        (json!({"@id": "pkg:oci/payouts"}), &[IMAGE], &["DSA-1"]),
        (part.clone(), &[IMAGE], &["DSA-1"]),
        (part, &[], &[]),
        (other_part, &[IMAGE], &[]),
        (by_digest, &["sha256:aa"], &["DSA-1"]),
    ] {
        let document = document(&json!([statement("CVE-1", "not_affected", &product)]));
        assert_eq!(
            suppressed(&[document.unwrap_or_else(|why| panic!("{why}"))], known_as),
            expected,
            "{product}"
        );
    }
}

#[test]
fn the_newest_statement_counts() {
    let product = json!({"@id": "pkg:npm/b"});
    let at = |mut statement: Value, day: &str| {
        statement["timestamp"] = format!("2099-01-{day}T00:00:00Z").into();
        statement
    };
    let not_affected = statement("CVE-2", "not_affected", &product);
    let affected = statement("GHSA-2", "affected", &product);
    for (statements, expected) in [
        (vec![at(not_affected.clone(), "02"), at(affected.clone(), "03")], &[][..]),
        (vec![at(affected.clone(), "03"), at(not_affected.clone(), "02")], &[]),
        (vec![at(not_affected.clone(), "04"), at(affected.clone(), "03")], &["GHSA-2"]),
        (vec![affected.clone(), not_affected.clone()], &["GHSA-2"]),
        (vec![not_affected.clone(), affected], &[]),
        (vec![not_affected.clone(), statement("CVE-2", "under_investigation", &product)], &[]),
        (vec![statement("CVE-2", "fixed", &product)], &["GHSA-2"]),
    ] {
        let document = document(&Value::Array(statements.clone())).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(suppressed(&[document], &[]), expected, "{statements:?}");
    }
}

#[test]
fn the_older_form_is_read() {
    let old = json!({"@context": "https://openvex.dev/ns", "@id": "x", "author": "A", "timestamp": "2023-01-01T00:00:00Z",
    "statements": [
        {"vulnerability": "CVE-1", "products": [IMAGE], "subcomponents": ["pkg:deb/debian/a@1.0-1"],
         "status": "not_affected", "justification": "component_not_present"},
        {"vulnerability": "CVE-2", "products": ["pkg:npm/b@1.0.0"], "status": "not_affected", "impact_statement": "no"},
    ]});
    let old =
        VexDocument::parse(Path::new("x"), old.to_string().as_bytes()).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(suppressed(std::slice::from_ref(&old), &[IMAGE]), ["DSA-1", "GHSA-2"]);
    assert_eq!(suppressed(&[old], &[]), ["GHSA-2"]);
}

#[test]
fn what_the_specification_does_not_allow_is_not_applied() {
    let bare =
        json!([{"vulnerability": {"name": "CVE-1"}, "products": [{"@id": DEB}], "status": "not_affected"}]);
    let odd = json!([{"vulnerability": {"name": "CVE-1"}, "products": [{"@id": DEB}], "status": "not_affected",
        "justification": "because"}]);
    let nothing = json!([{"vulnerability": {"name": "CVE-1"}, "products": [], "status": "fixed"}]);
    for statements in [bare, odd, nothing] {
        let document = document(&statements).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!((document.statements.len(), document.invalid.len()), (0, 1), "{statements}");
    }
    let error = document(&json!([statement("CVE-1", "harmless", &json!({"@id": DEB}))]));
    assert!(error.is_err_and(|why| why.contains("harmless")));
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"@context":"https://spdx.org","statements":[]}"#,
        r#"{"@context":"https://openvex.dev/ns/v1.0.0","statements":[]}"#,
    ] {
        let error = VexDocument::parse(Path::new("x"), bad.as_bytes()).map_err(|why| why.code());
        assert_eq!(error.err(), Some("ADV-009"), "{bad}");
    }
}

#[test]
fn ignores_become_a_document_that_says_the_same() {
    let today = Date::constant(2099, 6, 5);
    let ignore = |id: &str, reason: &str, until| Ignore { id: id.into(), reason: reason.into(), until };
    let ignores = [
        ignore("CVE-1", "vulnerable_code_not_present", Some(today)),
        ignore("GHSA-2", "not reachable", None),
        ignore("CVE-3", "too old", Some(Date::constant(2099, 6, 4))),
    ];
    let at: Timestamp = "2099-06-05T12:00:00Z".parse().unwrap_or_default();
    let written = from_ignores(&ignores, &report(), IMAGE, "acme", at, today);
    let json = serde_json::to_value(&written).unwrap_or_default();
    assert_eq!(json["@context"], "https://openvex.dev/ns/v0.2.0");
    let statements = json["statements"].as_array().cloned().unwrap_or_default();
    assert_eq!(statements.len(), 2, "one has expired");
    assert_eq!(statements[0]["justification"], "vulnerable_code_not_present");
    assert_eq!(statements[0]["status_notes"], "until 2099-06-05");
    assert_eq!(statements[0]["products"][0]["subcomponents"][0]["@id"], DEB);
    assert_eq!(statements[1]["impact_statement"], "not reachable");
    assert_eq!(statements[1]["vulnerability"]["aliases"], json!(["CVE-2"]));

    let read =
        VexDocument::parse(Path::new("x"), json.to_string().as_bytes()).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(read.invalid, Vec::<String>::new());
    let mut by_list = report();
    by_list.apply_ignores(&ignores, today);
    let by_list: Vec<_> =
        by_list.findings.iter().filter(|f| f.suppressed.is_some()).map(|f| f.id.clone()).collect();
    assert_eq!(suppressed(&[read], &[IMAGE]), by_list);
    assert_eq!(from_ignores(&ignores, &report(), IMAGE, "acme", at, today), written);
}
