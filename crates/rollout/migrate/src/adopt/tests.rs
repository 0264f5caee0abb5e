//! What other tools write down.

use super::*;

fn row(values: &[Option<&str>]) -> Vec<Option<String>> {
    values.iter().map(|value| value.map(str::to_owned)).collect()
}

fn versions(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.version.as_str()).collect()
}

#[test]
fn goose_takes_back_by_another_line() {
    let rows = [("0", "t"), ("1", "t"), ("2", "t"), ("2", "f"), ("3", "1")];
    let rows = rows.iter().map(|(version, applied)| row(&[Some(version), Some(applied)])).collect();
    assert_eq!(versions(&read(Layout::Goose, rows)), ["1", "3"]);
}

#[test]
fn prisma_and_flyway_keep_what_did_not_take_effect() {
    let rows = vec![
        row(&[Some("a"), Some("2026"), Some("00"), None]),
        row(&[Some("b"), Some("2026"), Some("00"), Some("2026")]),
        row(&[Some("c"), None, Some("00"), None]),
    ];
    let found = read(Layout::Prisma, rows);
    assert_eq!(versions(&found), ["a", "c"]);
    assert!(found[0].problem.is_none() && found[1].problem.is_some());
    let rows = vec![
        row(&[None, Some("t"), None, Some("<< Flyway Schema Creation >>"), Some("SCHEMA")]),
        row(&[Some("1"), Some("t"), Some("-5"), Some("V1__a.sql"), Some("SQL")]),
        row(&[None, Some("t"), Some("7"), Some("R__v.sql"), Some("SQL")]),
        row(&[None, Some("t"), Some("8"), Some("R__v.sql"), Some("SQL")]),
    ];
    let found = read(Layout::Flyway, rows);
    assert_eq!(versions(&found), ["1", "R__v.sql"]);
    assert_eq!(found[1].sum, Some(Sum::Flyway(8)));
}

#[test]
fn versions_are_the_same_however_many_zeros_they_have() {
    assert!(same("000001", "1") && same("1.0", "1") && same("20260101000000_a", "20260101000000_a"));
    assert!(!same("1.1", "1") && !same("1f", "1e") && !same("10", "1"));
}
