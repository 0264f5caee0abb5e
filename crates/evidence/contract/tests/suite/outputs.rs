//! The forms of a report, and the canonical form of a document.

use plimsoll_evidence_contract::{RULE_PAGES, Report};

use crate::{SHOP_3_0, compare, load, read};

fn report() -> Report {
    let new = SHOP_3_0
        .replacen("iban: {type: string}", "iban: {type: integer}", 1)
        .replacen("A page.", "A page of customers.", 1)
        .replacen(
            "has_more: {type: boolean}",
            "has_more: {type: boolean}\n        total: {type: integer}",
            1,
        );
    compare(SHOP_3_0, &new)
}

#[test]
fn text_markdown_annotations() {
    let report = report();
    assert_eq!(
        report.text(),
        "Breaking (1)\n  API-072  Account: `iban` now sent as integer\n           \
         affects GET /customers, GET /customers/{customer}, POST /customers\nAdditive (1)\n  \
         API-106  CustomerPage: `total` now sent\n           affects GET /customers\nEditorial (1)\n  \
         API-140  1 place: `description` reworded\nThe API change is breaking.\n"
    );
    assert_eq!(
        report.markdown(),
        "## API changes\n\n### Breaking\n\n- Account: `iban` now sent as integer (`API-072`); affects GET /customers, \
         GET /customers/{customer}, POST /customers\n\n### Additive\n\n- CustomerPage: `total` now sent (`API-106`); \
         affects GET /customers\n\n### Editorial\n\n- 1 place: `description` reworded (`API-140`)\n"
    );
    let lines: Vec<String> = report.github().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("::warning file=openapi.yaml,line="), "{}", lines[0]);
    assert!(lines[0].ends_with("title=API-072 response-type-widened::Account: `iban` now sent as integer"));
    assert!(lines[1].starts_with("::notice "));
    assert_eq!(compare(SHOP_3_0, SHOP_3_0).text(), "Nothing changed for clients of the API.\n");
}

#[test]
fn json_is_what_the_interface_says() {
    let report = report();
    let json = serde_json::to_value(&report).expect("it is data");
    assert_eq!(json["level"], "breaking");
    let change = &json["changes"][0];
    for (key, value) in [
        ("rule", "API-072"),
        ("level", "breaking"),
        ("method", "GET"),
        ("path", "/customers"),
        ("location", "#/components/schemas/Account/properties/iban/type"),
        ("message", "Account: `iban` now sent as integer"),
        ("component", "#/components/schemas/Account"),
    ] {
        assert_eq!(change[key], value);
    }
    assert_eq!(change["operations"].as_array().map(Vec::len), Some(3));
    assert_eq!(serde_json::from_value::<Report>(json).ok(), Some(report));
}

#[test]
fn every_finding_has_a_page_with_an_example() {
    for finding in report().changes {
        let page = RULE_PAGES.iter().find(|page| page.code == finding.rule).expect("rules have pages");
        assert!(page.what.contains("before: ") && page.what.contains("after:  "));
    }
}

#[test]
fn a_snapshot_is_the_same_whatever_it_was_written_in() {
    let snapshot = read(SHOP_3_0).snapshot();
    let text = String::from_utf8(snapshot.clone()).expect("JSON is UTF-8");
    let again = load("openapi.json", &text).expect("a snapshot is a document");
    assert_eq!(again.snapshot(), snapshot);
    // Another order of keys, other numbers, JSON in one line.
    let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let compact = value.to_string().replace("\"maximum\":100", "\"maximum\":1e2");
    assert!(compact.contains("1e2"));
    assert_eq!(load("openapi.json", &compact).map(|contract| contract.snapshot()), Ok(snapshot));
    assert!(compare(SHOP_3_0, &text).changes.is_empty());
}
