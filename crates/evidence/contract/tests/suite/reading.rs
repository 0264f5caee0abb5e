//! Bad input: every error with its place, nothing unbounded.

use std::collections::HashMap;

use plimsoll_evidence_contract::{Contract, Error, Limits, Loader, OneFile, PAGES, Version};
use plimsoll_model::{Diagnose as _, Lookup};

use crate::load;

struct Files(HashMap<&'static str, &'static str>);

impl Loader for Files {
    fn load(&self, path: &str) -> Lookup<Vec<u8>> {
        self.0.get(path).map_or(Lookup::Absent, |text| Lookup::Found(text.as_bytes().to_vec()))
    }
}

/// Code and place of an error.
fn fails(name: &str, text: &str) -> (&'static str, u32, u32) {
    let error = load(name, text).err().unwrap_or_else(|| panic!("read: {text}"));
    assert!(PAGES.iter().any(|page| page.code == error.code()));
    assert!(error.hint().is_some());
    let position = error.position().expect("errors of files have a place").clone();
    (error.code(), position.line, position.column)
}

#[test]
fn errors_have_line_and_column() {
    for (name, text, expected) in [
        ("a.json", "{\n  \"openapi\": \"3.1.0\",\n  \"paths\": {,}\n}", ("OAS-001", 3, 13)),
        ("a.json", "{\"a\": 01}", ("OAS-001", 1, 7)),
        ("a.json", "{\"a\": \"\\x\"}", ("OAS-001", 1, 9)),
        ("a.json", "{\"a\": \"\\ud800\"}", ("OAS-001", 1, 14)),
        ("a.json", "{\"a\": 1", ("OAS-001", 1, 8)),
        ("a.json", "{} x", ("OAS-001", 1, 4)),
        ("a.yaml", "openapi: 3.1.0\npaths:\n\t- a", ("OAS-001", 3, 2)),
        ("a.yaml", "openapi: 3.1.0\npaths: [a", ("OAS-001", 3, 1)),
        ("a.yaml", "a: 1\n---\nb: 2", ("OAS-001", 2, 1)),
        ("a.yaml", "", ("OAS-001", 1, 1)),
        ("a.json", "[1]", ("OAS-003", 1, 1)),
        ("a.yaml", "openapi: 2.9\n", ("OAS-003", 1, 10)),
        ("a.yaml", "openapi: 3.2.0\n", ("OAS-003", 1, 10)),
        ("a.yaml", "info: {}\nswagger: '2.0'\n", ("OAS-004", 2, 10)),
        ("a.yaml", "openapi: 3.1.0\npaths: []\n", ("OAS-006", 2, 8)),
        ("a.yaml", "openapi: 3.1.0\npaths: {/a: {get: 1}}\n", ("OAS-006", 2, 19)),
        ("a.yaml", "openapi: 3.1.0\npaths:\n  /a: {$ref: '#/no'}\n", ("OAS-005", 3, 7)),
        ("a.yaml", "openapi: 3.1.0\npaths:\n  /a: {$ref: 'https://b.example/a.yaml'}\n", ("OAS-005", 3, 7)),
        ("a.yaml", "openapi: 3.1.0\npaths:\n  /a: {$ref: 'b.yaml'}\n", ("OAS-005", 3, 7)),
        (
            "a.yaml",
            "openapi: 3.1.0\npaths: {}\ncomponents: {schemas: {A: {$ref: '#/components/schemas/A'}}}\n",
            ("OAS-005", 3, 27),
        ),
    ] {
        assert_eq!(fails(name, text), expected, "{text}");
    }
}

#[test]
fn swagger_is_refused_with_the_way_to_convert_it() {
    let error = load("a.json", "{\"swagger\": \"2.0\"}").expect_err("it is Swagger");
    assert!(error.hint().is_some_and(|hint| hint.contains("swagger2openapi")));
}

#[test]
fn aliases_count_as_what_they_stand_for() {
    let mut bomb = String::from("openapi: 3.1.0\npaths: {}\nx-0: &a0 [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]\n");
    for level in 1..=12 {
        let before = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("x-{level}: &a{level} [{before}]\n"));
    }
    let (code, line, _) = fails("a.yaml", &bomb);
    assert_eq!((code, line < 12), ("OAS-002", true));
    // Few values, but a thousand levels.
    let mut tower = String::from("openapi: 3.1.0\npaths: {}\nx-0: &a0 [0]\n");
    for level in 1..=1000 {
        tower.push_str(&format!("x-{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert_eq!(fails("a.yaml", &tower).0, "OAS-002");
    // An alias that is used as it is meant is fine, merge keys too.
    let fine = "openapi: 3.0.0\nx-base: &base {type: object, description: a}\npaths: {}\n\
                components: {schemas: {A: {<<: *base, description: b}, B: *base}}\n";
    let snapshot =
        load("a.yaml", fine).map(|contract| String::from_utf8_lossy(&contract.snapshot()).into_owned());
    assert!(
        snapshot.is_ok_and(|text| text.contains("\"description\": \"b\",\n        \"type\": \"object\""))
    );
    // One that stands in itself is not.
    assert_eq!(fails("a.yaml", "openapi: 3.1.0\npaths: &a {b: *a}\n").0, "OAS-001");
}

#[test]
fn every_bound_holds() {
    let limits = Limits { bytes: 200, depth: 8, nodes: 40, files: 1, ..Limits::default() };
    let read = |text: &str| {
        Contract::load("a.yaml", text.as_bytes(), &OneFile, &limits).err().map(|error| error.code())
    };
    assert_eq!(read("openapi: 3.1.0\npaths: {}\n"), None);
    assert_eq!(read(&format!("openapi: 3.1.0\npaths: {{}}\n#{}\n", "a".repeat(200))), Some("OAS-002"));
    assert_eq!(read(&format!("openapi: 3.1.0\nx: {}{}\n", "[".repeat(9), "]".repeat(9))), Some("OAS-002"));
    assert_eq!(read(&format!("openapi: 3.1.0\nx: [{}]\n", "0,".repeat(50))), Some("OAS-002"));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(fails("a.json", &deep).0, "OAS-002");
    // The parser of YAML has a bound of its own.
    assert!(["OAS-001", "OAS-002"].contains(&fails("a.yaml", &deep).0));
}

#[test]
fn text_that_is_none_is_told_where() {
    let error = Contract::load("a.yaml", b"openapi: 3.1.0\nx: \xff\n", &OneFile, &Limits::default());
    let position = error.err().and_then(|error| error.position().cloned());
    assert_eq!(position.map(|at| (at.line, at.column)), Some((2, 4)));
    let marked = Contract::load(
        "a.yaml",
        "\u{feff}openapi: 3.1\npaths: {}\n".as_bytes(),
        &OneFile,
        &Limits::default(),
    );
    assert_eq!(marked.map(|contract| contract.version()), Ok(Version::V3_1));
}

#[test]
fn keys_that_come_twice_are_warned_of() {
    let contract =
        load("a.yaml", "openapi: 3.0.0\npaths: {}\ninfo: {version: '1', title: a, version: '2'}\n");
    let contract = contract.expect("the last one counts");
    assert_eq!(contract.api_version(), Some("2"));
    let warnings: Vec<_> =
        contract.warnings().iter().map(|warning| (warning.position.line, &warning.message)).collect();
    assert_eq!(warnings, [(3, &"the key `version` is there twice; the last one counts".to_owned())]);
}

#[test]
fn references_go_across_files_and_through_each_other() {
    let files = Files(HashMap::from([
        (
            "api/pets.yaml",
            "list:\n  get:\n    responses:\n      '200':\n        content:\n          application/json:\n            schema: {$ref: 'schemas/pet.yaml#/$defs/Pet'}\n",
        ),
        (
            "api/schemas/pet.yaml",
            "$defs:\n  Pet: {type: object, properties: {owner: {$ref: '../api.yaml#/components/schemas/Owner/properties/name'}, pets: {type: array, items: {$ref: '#/$defs/Pet'}}}}\n",
        ),
    ]));
    let root = |name: &str| {
        format!(
            "openapi: 3.1.0\npaths: {{/pets: {{$ref: 'pets.yaml#/list'}}}}\n\
             components: {{schemas: {{Owner: {{$ref: '#/components/schemas/Person'}}, Person: {{properties: {{name: {name}}}}}}}}}\n"
        )
    };
    let read = |name: &str| Contract::load("api/api.yaml", root(name).as_bytes(), &files, &Limits::default());
    let (old, new) =
        (read("{type: string}").expect("all files are there"), read("{type: integer}").expect("as before"));
    let report = plimsoll_evidence_contract::diff(&old, &new, &Default::default()).expect("small");
    assert_eq!(crate::said(&report), ["response-type-widened Person: `name` now sent as integer"]);
    // A snapshot has all of it in one file and is the same API.
    let bundled =
        Contract::load("snapshot.json", &old.snapshot(), &OneFile, &Limits::default()).expect("it is whole");
    assert_eq!(
        plimsoll_evidence_contract::diff(&old, &bundled, &Default::default()).map(|report| report.changes),
        Ok(vec![])
    );
    assert_eq!(plimsoll_evidence_contract::diff(&bundled, &new, &Default::default()), Ok(report));
    assert_eq!(bundled.snapshot(), old.snapshot());
}

#[test]
fn unreadable_files_are_not_absent_files() {
    struct Broken;
    impl Loader for Broken {
        fn load(&self, _: &str) -> Lookup<Vec<u8>> {
            Lookup::Unknown("permission denied".into())
        }
    }
    let text = b"openapi: 3.1.0\npaths: {/a: {$ref: 'b.yaml'}}\n";
    let error = Contract::load("a.yaml", text, &Broken, &Limits::default());
    assert!(matches!(error, Err(Error::Reference { reason, .. }) if reason.contains("permission denied")));
}
