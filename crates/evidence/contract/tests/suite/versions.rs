//! 3.0 and 3.1 of one API are one API; so are two ways to write one schema.

use crate::{SHOP_3_0, SHOP_3_1, compare, said, schemas};

#[test]
fn an_api_is_the_same_in_3_0_and_in_3_1() {
    for (old, new) in [(SHOP_3_0, SHOP_3_1), (SHOP_3_1, SHOP_3_0), (SHOP_3_0, SHOP_3_0), (SHOP_3_1, SHOP_3_1)]
    {
        let report = compare(old, new);
        assert!(report.changes.is_empty(), "{:#?}", said(&report));
    }
}

#[test]
fn what_means_the_same_is_the_same() {
    for (one, two) in [
        ("{type: [string, 'null']}", "{anyOf: [{type: string}, {type: 'null'}]}"),
        ("{type: [string, integer]}", "{oneOf: [{type: integer}, {type: string}]}"),
        ("{type: string, enum: [a, b]}", "{oneOf: [{const: b, title: Bee}, {const: a}]}"),
        ("{const: a}", "{enum: [a]}"),
        ("{type: string, enum: [a]}", "{enum: [a]}"),
        ("{type: object, properties: {a: {type: string}}}", "{properties: {a: {type: string}}}"),
        (
            "{type: object, required: [a], properties: {a: {type: string}, b: {type: string}}}",
            "{allOf: [{properties: {b: {type: string}}}, {type: object, required: [a], properties: {a: {type: string}}}]}",
        ),
        ("{type: string, minLength: 3}", "{allOf: [{minLength: 2, type: string}, {minLength: 3}]}"),
        (
            "{anyOf: [{title: A, type: object, properties: {a: {}}}, {title: B, type: object, properties: {b: {}}}]}",
            "{anyOf: [{title: B, type: object, properties: {b: {}}}, {title: A, type: object, properties: {a: {}}}]}",
        ),
        (
            "{oneOf: [{oneOf: [{type: object, title: A}, {type: object, title: B}]}, {type: array}]}",
            "{oneOf: [{type: array}, {type: object, title: B}, {type: object, title: A}]}",
        ),
        ("{type: integer, minimum: 1}", "{type: integer, minimum: 1.0}"),
        ("{type: object, additionalProperties: true}", "{type: object, additionalProperties: {}}"),
        ("{type: object, additionalProperties: false}", "{type: object, unevaluatedProperties: false}"),
        ("{type: number}", "{type: number, format: double}"),
        // A whole that may be null may be null.
        (
            "{type: [object, 'null'], allOf: [{type: object, properties: {a: {}}}]}",
            "{type: [object, 'null'], properties: {a: {}}}",
        ),
        ("{type: [string, 'null'], enum: [a, null]}", "{enum: [null, a]}"),
    ] {
        assert_eq!(schemas("3.1.0", one, two), [""; 0], "{one}\n{two}");
        assert_eq!(schemas("3.1.0", two, one), [""; 0], "{two}\n{one}");
    }
}

#[test]
fn nullable_of_3_0_is_what_its_authors_mean() {
    for (old, new, found) in [
        (
            "{type: string}",
            "{type: string, nullable: true}",
            &["response-null-possible", "request-null-accepted"][..],
        ),
        (
            "{nullable: true, allOf: [{type: object, properties: {a: {type: string}}}]}",
            "{type: object, nullable: true, properties: {a: {type: string}}}",
            &[],
        ),
        // One part of `allOf` accepts null, the other does not: so the whole does not.
        (
            "{type: object, nullable: true}",
            "{allOf: [{type: object, nullable: true}, {type: object}]}",
            &["request-null-refused", "response-null-excluded"],
        ),
        // Siblings of `$ref` mean nothing in 3.0.
        (
            "{type: object, properties: {s: {$ref: '#/components/schemas/S'}}}",
            "{type: object, properties: {s: {$ref: '#/components/schemas/S', nullable: true}}}",
            &[],
        ),
    ] {
        let mut names = schemas("3.0.3", old, new);
        names.sort();
        let mut found = found.to_vec();
        found.sort_unstable();
        assert_eq!(names, found, "{old}\n{new}");
    }
}

#[test]
fn dynamic_references_mean_what_the_outermost_anchor_says() {
    let document = |item: &str, anchored: &str| {
        crate::api(
            "3.1.0",
            &format!(
                "Page: {{type: object, $defs: {{item: {{$dynamicAnchor: item, type: string}}}}, \
                 properties: {{data: {{type: array, items: {{$dynamicRef: '#item'}}}}}}}}, \
                 Pets: {{$ref: '#/components/schemas/Page', $defs: {{item: {{$dynamicAnchor: {anchored}, \
                 $ref: '#/components/schemas/Pet'}}}}}}, \
                 Pet: {{type: object, properties: {{name: {{type: {item}}}}}}}"
            ),
            "{type: object}",
            "{$ref: '#/components/schemas/Pets'}",
        )
    };
    let report = compare(&document("string", "item"), &document("integer", "item"));
    assert_eq!(said(&report), ["response-type-widened Pet: `name` now sent as integer"]);
    assert!(compare(&document("string", "item"), &document("string", "item")).changes.is_empty());
    // Without the outer anchor the inner one holds: texts.
    let report = compare(&document("string", "item"), &document("string", "other"));
    assert!(said(&report).iter().any(|text| text.contains("now sent as string")), "{:?}", said(&report));
}
