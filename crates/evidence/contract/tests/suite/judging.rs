//! What is said about changes, once, and of whom.

use plimsoll_evidence_contract::{Accepted, Level, Options, diff};

use crate::{SHOP_3_0, api, compare, read, said, schemas};

fn shop(from: &str, to: &str) -> plimsoll_evidence_contract::Report {
    assert!(SHOP_3_0.contains(from), "{from}");
    compare(SHOP_3_0, &SHOP_3_0.replacen(from, to, 1))
}

#[test]
fn a_change_of_a_component_is_one_finding_with_its_operations() {
    let report = shop("iban: {type: string}", "iban: {type: integer}");
    assert_eq!(said(&report), ["response-type-widened Account: `iban` now sent as integer"]);
    let finding = &report.changes[0];
    // Through references in circles, from everywhere.
    assert_eq!(
        finding.operations,
        ["GET /customers", "GET /customers/{customer}", "POST /customers"],
        "{finding:#?}"
    );
    assert_eq!(finding.component.as_deref(), Some("#/components/schemas/Account"));
    assert_eq!(finding.location, "#/components/schemas/Account/properties/iban/type");
    assert_eq!((finding.method.as_deref(), finding.path.as_deref()), (Some("GET"), Some("/customers")));
    assert_eq!(
        SHOP_3_0.lines().nth(finding.details[0].line as usize - 1).map(str::trim),
        Some("iban: {type: string}")
    );
}

#[test]
fn callbacks_turn_around() {
    // What the server sends in a callback a client receives.
    let report = shop("        kind: {type: string}", "        kind: {type: string, enum: [a]}");
    assert_eq!(said(&report), ["response-value-removed Event: `kind` always one of \"a\""]);
    assert_eq!(report.changes[0].operations, ["POST /customers"]);
    let report = shop("      required: [kind]\n", "");
    assert_eq!(said(&report), ["response-property-became-optional Event: `kind` no longer always sent"]);
}

#[test]
fn what_is_read_only_is_not_sent_by_clients() {
    let both = |old: &str, new: &str| {
        let mut names = schemas("3.1.0", old, new);
        names.sort();
        names
    };
    let plain = "{type: object, properties: {id: {type: string}, a: {type: string}}}";
    let read_only = "{type: object, properties: {id: {type: string, readOnly: true}, a: {type: string}}}";
    let write_only = "{type: object, properties: {id: {type: string, writeOnly: true}, a: {type: string}}}";
    assert_eq!(both(plain, read_only), ["request-property-removed"]);
    assert_eq!(both(read_only, plain), ["request-property-added"]);
    assert_eq!(both(plain, write_only), ["response-property-removed"]);
    assert_eq!(both(write_only, plain), ["response-property-added"]);
    // Required and read-only is required of the server alone.
    let required =
        "{type: object, required: [id], properties: {id: {type: string, readOnly: true}, a: {type: string}}}";
    assert_eq!(both(read_only, required), ["response-property-became-required"]);
}

#[test]
fn paths_are_compared_by_what_they_match() {
    let report =
        compare(SHOP_3_0, &SHOP_3_0.replace("{customer}", "{id}").replace("name: customer,", "name: id,"));
    assert_eq!(report.level, Some(Level::Editorial), "{:?}", said(&report));
}

#[test]
fn security_is_what_a_client_has_to_present() {
    // Another label for the same scheme.
    let renamed =
        SHOP_3_0.replace("- key: []", "- apiKey: []").replace("    key: {type", "    apiKey: {type");
    assert!(compare(SHOP_3_0, &renamed).changes.is_empty());
    let report = shop("        - key: []\n", "");
    assert_eq!(
        said(&report),
        ["security-alternative-removed GET /customers/{customer}: `key` no longer enough to authenticate"]
    );
    // At the top it is one finding for all that inherit it.
    let report = shop("security:\n  - key: []\n", "security:\n  - oauth: []\n");
    let removed: Vec<_> = report.changes.iter().filter(|finding| finding.level == Level::Breaking).collect();
    assert_eq!(removed.len(), 1, "{:?}", said(&report));
    assert_eq!(removed[0].operations.len(), 3);
    // To need nothing is to break nobody; to need something breaks everybody.
    let open = SHOP_3_0.replacen("security:\n  - key: []\n", "", 1);
    assert_eq!(compare(SHOP_3_0, &open).level, Some(Level::Additive));
    assert_eq!(compare(&open, SHOP_3_0).level, Some(Level::Breaking));
}

#[test]
fn responses_and_media_types_cover_each_other() {
    let document =
        |responses: &str| format!("openapi: 3.1.0\npaths: {{/a: {{get: {{responses: {{{responses}}}}}}}}}");
    let body = "content: {application/json: {schema: {type: string}}}";
    for covering in ["2XX", "2xx", "default"] {
        let report =
            compare(&document(&format!("'200': {{{body}}}")), &document(&format!("{covering}: {{{body}}}")));
        assert!(report.changes.is_empty(), "{covering}: {:?}", said(&report));
    }
    let report = compare(
        &document(&format!("'200': {{{body}}}")),
        &document("'200': {content: {'application/*': {schema: {type: string}}}}"),
    );
    assert_eq!(report.level, Some(Level::Additive), "{:?}", said(&report));
}

#[test]
fn maps_are_objects_whose_values_count() {
    let map = |of: &str| format!("{{type: object, additionalProperties: {of}}}");
    let mut names = schemas("3.1.0", &map("{type: string}"), "{type: object}");
    names.sort();
    assert_eq!(names, ["request-type-widened", "response-type-widened"]);
    let mut names = schemas("3.1.0", &map("{type: string}"), &map("{type: integer}"));
    names.sort();
    assert_eq!(names, ["request-type-narrowed", "response-type-widened"]);
    // A property that gets a name was in the map before.
    assert_eq!(
        schemas(
            "3.1.0",
            &map("{type: string}"),
            "{type: object, properties: {a: {type: string}}, additionalProperties: {type: string}}"
        ),
        [""; 0]
    );
}

#[test]
fn a_property_that_moves_between_base_and_extension_stays() {
    let moved = SHOP_3_0.replacen("        created: {type: string, format: date-time}\n", "", 1).replacen(
        "            object: {enum: [customer]}\n",
        "            object: {enum: [customer]}\n            created: {type: string, format: date-time}\n",
        1,
    );
    let report = compare(SHOP_3_0, &moved);
    assert!(report.changes.is_empty(), "{:?}", said(&report));
}

#[test]
fn extensible_lists_promise_nothing() {
    let list = |values: &str, mark: &str| format!("{{type: string, enum: [{values}]{mark}}}");
    let mark = ", x-extensible-enum: true";
    assert_eq!(schemas("3.1.0", &list("a", mark), &list("a, b", mark)), ["request-value-added"]);
    assert_eq!(
        schemas("3.1.0", &list("a", ""), &list("a, b", "")),
        ["response-value-added", "request-value-added"]
    );
}

#[test]
fn breaks_of_what_is_not_stable_yet_are_not_breaking() {
    let alpha = SHOP_3_0.replacen("x-stability-level: beta", "x-stability-level: alpha", 1);
    let removed = |text: &str| {
        text.replacen(
            "          image/png: {schema: {type: string, format: binary}}\n",
            "          image/gif: {schema: {type: string, format: binary}}\n",
            1,
        )
    };
    assert_eq!(compare(&alpha, &removed(&alpha)).level, Some(Level::Additive));
    assert_eq!(compare(SHOP_3_0, &removed(SHOP_3_0)).level, Some(Level::Breaking));
}

#[test]
fn a_sunset_date_counts_when_it_has_passed() {
    let start = SHOP_3_0.find("  /customers/{customer}/photo:").expect("it is there");
    let end = SHOP_3_0.find("components:").expect("it is there");
    let without = format!("{}{}", &SHOP_3_0[..start], &SHOP_3_0[end..]);
    let (old, new) = (read(SHOP_3_0), read(&without));
    for (today, level) in [
        (None, Level::Breaking),
        (Some("2027-06-29"), Level::Breaking),
        (Some("2027-06-30"), Level::Additive),
    ] {
        let today = today.map(|day| day.parse().expect("a date"));
        let report = diff(&old, &new, &Options { today, ..Options::default() }).expect("small");
        assert_eq!(report.level, Some(level), "{today:?}");
    }
}

#[test]
fn the_same_change_at_many_places_is_one_finding() {
    let document = |values: &str| {
        let operation = |path: &str| {
            format!(
                "  {path}: {{get: {{responses: {{'200': {{content: {{application/json: {{schema: \
                 {{type: object, properties: {{currency: {{type: string, enum: [{values}]}}}}}}}}}}}}}}}}}}\n"
            )
        };
        format!("openapi: 3.1.0\npaths:\n{}{}{}", operation("/a"), operation("/b"), operation("/c"))
    };
    let report = compare(&document("eur"), &document("eur, usd"));
    assert_eq!(
        said(&report),
        [
            "response-value-added GET /a and 2 more: response 200 `currency` may now be \"usd\", which clients do not know"
        ]
    );
    assert_eq!((report.changes[0].operations.len(), report.changes[0].details.len()), (3, 3));
}

#[test]
fn accepted_breaks_are_told_but_do_not_count() {
    let (old, new) =
        (read(SHOP_3_0), read(&SHOP_3_0.replacen("iban: {type: string}", "iban: {type: integer}", 1)));
    let accepted = |rule: &str, path: Option<&str>, component: Option<&str>, until: &str| Accepted {
        rule: rule.into(),
        method: None,
        path: path.map(Into::into),
        component: component.map(Into::into),
        reason: "nobody reads it".into(),
        until: until.parse().expect("a date"),
    };
    let report = |accepted: Vec<Accepted>| {
        let today = "2027-01-01".parse().ok();
        diff(&old, &new, &Options { today, accepted, ..Options::default() })
    };
    for entry in [
        accepted("API-072", None, Some("Account"), "2027-01-01"),
        accepted("response-type-widened", None, Some("#/components/schemas/Account"), "2028-01-01"),
    ] {
        let report = report(vec![entry]).expect("a good entry");
        assert_eq!((report.level, report.unused.len()), (None, 0));
        assert!(report.changes[0].accepted.as_deref().is_some_and(|why| why.starts_with("nobody reads it")));
    }
    // One path of three is not all of them; all three are, by whichever entry.
    let paths = ["/customers", "/customers/{customer}"];
    let one = accepted("API-072", Some(paths[0]), None, "2027-01-01");
    let two = accepted("API-072", Some(paths[1]), None, "2027-01-01");
    assert_eq!(report(vec![one.clone()]).map(|report| report.level), Ok(Some(Level::Breaking)));
    assert_eq!(report(vec![one, two]).map(|report| report.level), Ok(None));
    let over = report(vec![accepted("API-072", None, Some("Account"), "2026-12-31")]).expect("a good entry");
    assert_eq!((over.level, over.expired.len()), (Some(Level::Breaking), 1));
    let other = report(vec![accepted("API-002", None, Some("Account"), "2028-01-01")]).expect("a good entry");
    assert_eq!((other.level, other.unused.len()), (Some(Level::Breaking), 1));
    assert!(report(vec![accepted("no-such-rule", None, Some("Account"), "2028-01-01")]).is_err());
    assert!(report(vec![accepted("API-002", None, None, "2028-01-01")]).is_err());
}

#[test]
fn variants_are_found_by_what_they_are() {
    let union = |variants: &[&str]| format!("{{oneOf: [{}]}}", variants.join(", "));
    let animal = |kind: &str, extra: &str| {
        format!(
            "{{type: object, required: [kind], properties: {{kind: {{const: {kind}}}, name: {{type: string}}{extra}}}}}"
        )
    };
    let (cat, dog, emu) = (animal("cat", ""), animal("dog", ""), animal("emu", ""));
    let fat = animal("cat", ", weight: {type: number}");
    let report = |old: &[&str], new: &[&str]| {
        let document = |variants: &[&str]| api("3.1.0", "", "{type: object}", &union(variants));
        said(&compare(&document(old), &document(new)))
    };
    assert_eq!(
        report(&[&cat, &dog], &[&dog, &fat]),
        ["response-property-added POST /a: response 200 `weight` now sent"]
    );
    assert_eq!(
        report(&[&cat, &dog], &[&dog, &emu]),
        [
            "response-variant-added POST /a: response 200 may now be kind=\"emu\", which clients do not know",
            "response-variant-removed POST /a: response 200 no longer sent as kind=\"cat\"",
        ]
    );
    // One schema becomes one of several.
    let document = |schema: &str| api("3.1.0", "", "{type: object}", schema);
    assert_eq!(
        said(&compare(&document(&cat), &document(&union(&[&emu, &cat])))),
        ["response-variant-added POST /a: response 200 may now be kind=\"emu\", which clients do not know"]
    );
}

#[test]
fn what_no_operation_uses_is_no_change() {
    let unused = SHOP_3_0.replacen("  schemas:\n", "  schemas:\n    Unused: {type: string}\n", 1);
    assert!(compare(&unused, SHOP_3_0).changes.is_empty());
}

#[test]
fn webhooks_are_sent_by_the_server() {
    let document = |hooks: &str| format!("openapi: 3.1.0\nwebhooks: {{{hooks}}}");
    let hook = |schema: &str| {
        format!("paid: {{post: {{requestBody: {{content: {{application/json: {{schema: {schema}}}}}}}}}}}")
    };
    let report = compare(&document(&hook("{type: string}")), &document(&hook("{type: [string, integer]}")));
    assert_eq!(said(&report), ["response-type-widened webhook paid: request body now sent as integer"]);
    assert_eq!(report.changes[0].operations, ["POST paid"]);
    let report = compare(&document(&hook("{type: string}")), &document(""));
    assert_eq!(said(&report), ["operation-removed webhook paid: removed without having been deprecated"]);
}

#[test]
fn another_component_in_the_same_place_is_a_change_of_the_place() {
    let document = |name: &str| {
        api(
            "3.1.0",
            "A: {type: object, properties: {x: {$ref: '#/components/schemas/B'}, y: {$ref: '#/components/schemas/C'}}}, \
             B: {type: string}, C: {type: integer}"
                .replace("x: {$ref: '#/components/schemas/B'}", &format!("x: {{$ref: '#/components/schemas/{name}'}}"))
                .as_str(),
            "{type: object}",
            "{$ref: '#/components/schemas/A'}",
        )
    };
    let report = compare(&document("B"), &document("C"));
    assert_eq!(said(&report), ["response-type-widened A: `x` now sent as integer"]);
}
