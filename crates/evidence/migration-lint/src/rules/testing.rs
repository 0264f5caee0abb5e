//! A rule finds its example, and not its near miss.

use std::collections::BTreeSet;

use super::Rule;
use crate::{Declared, File, Options, Released, lint, schema};

/// The codes that are found in a migration, after another one was released.
pub(super) fn found(before: &str, change: &str) -> Vec<String> {
    let file = |path: &str, sql: &str| File { path: path.into(), bytes: sql.into() };
    let files = [file("20260101000000_before.sql", before), file("20260102000000_change.sql", change)];
    let released = Released::Files([files[0].path.clone()].into());
    let report = lint(&files, &Options { released, ..Options::default() }).unwrap();
    report.files[0].findings.iter().map(|finding| finding.rule.clone()).collect()
}

/// Fails where the rule's own example is not found, or its near miss is.
pub(super) fn holds(rule: &Rule) {
    let (code, example) = (rule.page.code, &rule.example);
    let codes = |change: &str| {
        if code != "MIG-052" {
            return found(example.before, change);
        }
        let file = |path: &str, sql: &str| File { path: path.into(), bytes: sql.into() };
        let files = [file("20260101000000_a.sql", example.before), file("20260102000000_b.sql", change)];
        let unused = BTreeSet::from(["users.age".to_owned()]);
        let needs = schema(&files[..1], &Options::default()).unwrap().needs(&unused);
        let options = Options {
            released: Released::Files([files[0].path.clone()].into()),
            declared: vec![Declared { release: "3f2a".into(), needs }],
            ..Options::default()
        };
        let report = lint(&files, &options).unwrap();
        report.files[0].findings.iter().map(|finding| finding.rule.clone()).collect()
    };
    let of_example = codes(example.found);
    assert!(
        of_example.iter().any(|found| found == code),
        "{code} does not find its example, only {of_example:?}"
    );
    let of_near = codes(example.near);
    assert!(!of_near.iter().any(|found| found == code), "{code} finds its near miss");
    if code != "MIG-001" {
        assert!(!of_example.contains(&"MIG-001".to_owned()), "the example of {code} is not understood");
    }
    assert!(!of_near.contains(&"MIG-001".to_owned()), "the near miss of {code} is not understood");
}

#[test]
fn codes_and_names_are_unique_and_in_order() {
    let codes: Vec<_> = super::RULES.iter().map(|rule| rule.page.code).collect();
    assert!(codes.is_sorted_by(|one, next| one < next), "{codes:?}");
    let names: BTreeSet<_> = super::RULES.iter().map(|rule| rule.page.name).collect();
    assert_eq!(names.len(), codes.len());
    assert_eq!(super::PAGES.len(), codes.len());
}
