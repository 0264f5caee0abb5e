//! Examples as whole documents, for the tests of the rules.

use super::{Example, Part, Rule};
use crate::{Contract, Limits, OneFile, Options, Report, diff};

fn document(part: Part, text: &str) -> String {
    let schema = |text: &str| format!("{{content: {{application/json: {{schema: {text}}}}}}}");
    let operation = |text: &str| format!("paths: {{/pets: {{post: {text}}}}}");
    let body = match part {
        Part::RequestSchema => operation(&format!("{{requestBody: {}, responses: {{}}}}", schema(text))),
        Part::ResponseSchema => operation(&format!("{{responses: {{\"200\": {}}}}}", schema(text))),
        Part::Operation => operation(text),
        Part::SecurityScheme => format!(
            "{}\ncomponents: {{securitySchemes: {{s: {text}}}}}",
            operation("{security: [{s: []}], responses: {}}")
        ),
        Part::Document => text.into(),
    };
    format!("openapi: 3.1.0\n{body}\n")
}

fn read(part: Part, text: &str) -> Contract {
    Contract::load("openapi.yaml", document(part, text).as_bytes(), &OneFile, &Limits::default())
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(crate) fn compare(part: Part, old: &str, new: &str) -> Report {
    let today = "2027-01-01".parse().ok();
    let options = Options { today, ..Options::default() };
    diff(&read(part, old), &read(part, new), &options).expect("examples are small")
}

/// The example is found, by this rule alone; the same document twice is not.
pub(super) fn finds_its_example(rule: &Rule) {
    let Example { of, old, new } = rule.example;
    let report = compare(of, old, new);
    let found: Vec<&str> = report.changes.iter().map(|finding| finding.rule.as_str()).collect();
    assert_eq!(found, [rule.page.code], "{}\n{}", rule.page.name, report.text());
    assert_eq!(report.level, Some(rule.level), "{}", rule.page.name);
    for same in [old, new] {
        let report = compare(of, same, same);
        assert!(report.changes.is_empty(), "{}", report.text());
    }
    // The way back is another change.
    let back = compare(of, new, old);
    assert!(
        back.changes.iter().all(|finding| finding.rule != rule.page.code || rule.symmetric()),
        "{}",
        back.text()
    );
}

impl Rule {
    /// Whether the way back is the same change: it replaces one thing by another.
    fn symmetric(&self) -> bool {
        const NAMES: [&str; 13] = [
            "operation-id-changed",
            "parameter-serialization-changed",
            "path-parameter-renamed",
            "form-encoding-changed",
            "security-scheme-changed",
            "request-default-changed",
            "response-default-changed",
            "discriminator-changed",
            "xml-changed",
            "documentation-changed",
            "request-pattern-narrowed",
            "response-pattern-widened",
            "link-changed",
        ];
        NAMES.contains(&self.page.name)
    }
}

#[test]
fn codes_and_names_are_unique() {
    use std::collections::BTreeSet;
    let codes: BTreeSet<&str> = super::RULES.iter().map(|rule| rule.page.code).collect();
    let names: BTreeSet<&str> = super::RULES.iter().map(|rule| rule.page.name).collect();
    assert_eq!((codes.len(), names.len()), (super::RULES.len(), super::RULES.len()));
    assert_eq!(super::PAGES.len(), super::RULES.len());
    for rule in super::RULES {
        let kebab = rule.page.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(kebab && rule.page.code.starts_with("API-"), "{}", rule.page.name);
    }
}

#[test]
fn the_only_media_type_is_not_worth_a_word() {
    let operation = |text: &str| {
        format!("{{requestBody: {{content: {{multipart/form-data: {{schema: {text}}}}}}}, responses: {{}}}}")
    };
    let report = compare(
        Part::Operation,
        &operation("{type: object}"),
        &operation("{type: object, properties: {a: {type: string}}}"),
    );
    assert_eq!(report.changes[0].message, "POST /pets: request body `a` now accepted");
}
