//! Work grows with the documents and not with the ways through them. Steps are
//! counted, so that a slow machine changes nothing.

use std::fmt::Write as _;

use plimsoll_evidence_contract::{Error, Level, Limits, Options, diff};

use crate::read;

/// Schemas that refer to each other in circles as payment APIs do, and one
/// operation for each.
fn circles(count: usize, changed: usize) -> String {
    let mut text = String::from("openapi: 3.0.0\npaths:\n");
    for at in 0..count {
        let _ = writeln!(
            text,
            "  /s{at}: {{get: {{responses: {{'200': {{content: {{application/json: {{schema: {{$ref: '#/components/schemas/S{at}'}}}}}}}}}}}}}}"
        );
    }
    text.push_str("components:\n  schemas:\n");
    for at in 0..count {
        let _ = writeln!(text, "    S{at}:\n      type: object\n      properties:");
        for (name, step) in [("a", 1), ("b", 7), ("c", 31), ("d", 101)] {
            let other = (at + step) % count;
            let _ = writeln!(
                text,
                "        {name}: {{anyOf: [{{type: string}}, {{$ref: '#/components/schemas/S{other}'}}]}}"
            );
        }
        let kind = if at < changed { "integer" } else { "string" };
        let _ = writeln!(text, "        own{at}: {{type: {kind}}}");
    }
    text
}

fn compare(old: &str, new: &str, steps: u64) -> Result<plimsoll_evidence_contract::Report, Error> {
    let limits = Limits { steps, ..Limits::default() };
    diff(&read(old), &read(new), &Options { limits, ..Options::default() })
}

#[test]
fn circles_take_steps_in_proportion() {
    for count in [200, 400, 800] {
        let report =
            compare(&circles(count, 0), &circles(count, 20), 300 * count as u64).expect("steps are enough");
        // One finding for each component, not one for each way to it.
        assert_eq!(report.changes.len(), 20);
        assert!(report.changes.iter().all(|finding| finding.operations.len() == count));
        assert_eq!(report.level, Some(Level::Breaking));
    }
    let document = circles(800, 0);
    // Nothing but operations is looked at where nothing changed.
    assert!(compare(&document, &document, 10 * 800).expect("steps are enough").changes.is_empty());
}

#[test]
fn chains_that_grow_squared_are_given_up() {
    let document = |count: usize, kind: &str| {
        let mut text = format!(
            "openapi: 3.1.0\npaths: {{/a: {{get: {{responses: {{'200': {{content: {{application/json: {{schema: {{$ref: \
             '#/components/schemas/S{}'}}}}}}}}}}}}}}}}\ncomponents:\n  schemas:\n    S0: {{properties: {{p0: {{type: {kind}}}}}}}\n",
            count - 1
        );
        for at in 1..count {
            let _ = writeln!(
                text,
                "    S{at}: {{allOf: [{{$ref: '#/components/schemas/S{}'}}], properties: {{p{at}: {{$ref: '#/components/schemas/S{}'}}}}}}",
                at - 1,
                at - 1
            );
        }
        text
    };
    // A long chain of bases is fine, and what is at its end is found.
    let report = compare(&document(300, "string"), &document(300, "integer"), Limits::default().steps)
        .expect("it is small");
    assert_eq!(report.changes.len(), 1, "{}", report.text());
    let long = compare(&document(3_000, "string"), &document(3_000, "integer"), 400_000);
    assert!(matches!(long, Err(Error::TooComplex { steps: 400_000 })));
}

#[test]
fn unions_within_unions_end() {
    let document = |kind: &str| {
        let mut text = format!(
            "openapi: 3.1.0\npaths: {{/a: {{get: {{responses: {{'200': {{content: {{application/json: {{schema: {{$ref: \
             '#/components/schemas/S0'}}}}}}}}}}}}}}}}\ncomponents:\n  schemas:\n    S2000: {{type: {kind}}}\n"
        );
        for at in 0..2000 {
            let _ = writeln!(
                text,
                "    S{at}: {{anyOf: [{{$ref: '#/components/schemas/S{}'}}, {{$ref: '#/components/schemas/S{at}'}}, {{type: object, title: t{at}}}]}}",
                at + 1
            );
        }
        text
    };
    let report =
        compare(&document("string"), &document("integer"), Limits::default().steps).expect("it ends");
    assert!(report.level.is_some());
}
