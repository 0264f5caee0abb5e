//! Exporting, and verifying the export offline.

use plimsoll_model::Diagnose as _;

use super::events::{Fixture, build_started, story};
use crate::{Options, Tampering, verify_export};

fn exported() -> (Fixture, String) {
    let fixture = Fixture::new();
    fixture.ledger.append_all("ada", &story()).unwrap();
    let mut out = Vec::new();
    assert_eq!(fixture.ledger.export(&mut out).unwrap(), 14);
    (fixture, String::from_utf8(out).unwrap())
}

#[test]
fn an_export_verifies_with_nothing_else_at_hand() {
    let (fixture, text) = exported();
    let checkpoint = fixture.ledger.checkpoint().unwrap();
    let options = Options {
        public_key: Some(fixture.ledger.public_key()),
        checkpoints: vec![("kept".into(), checkpoint)],
    };
    let report = verify_export(text.as_bytes(), &options).unwrap();
    assert_eq!((report.findings, report.entries, report.agreements.len()), (Vec::new(), 14, 2));
    assert_eq!(report.root, fixture.ledger.root(14).unwrap());
}

#[test]
fn an_empty_ledger_exports() {
    let Fixture { ledger, .. } = Fixture::new();
    let mut out = Vec::new();
    ledger.export(&mut out).unwrap();
    assert!(verify_export(out.as_slice(), &Options::default()).unwrap().is_intact());
}

#[test]
fn what_was_done_to_an_export_is_found() {
    let (_fixture, text) = exported();
    let lines: Vec<&str> = text.lines().collect();
    let found = |lines: &[&str]| {
        let report = verify_export(lines.join("\n").as_bytes(), &Options::default()).unwrap();
        report.findings.first().map(|f| (f.tampering, f.seq))
    };
    assert_eq!(found(&lines), None);
    let edited = lines[3].replace("\"ada\"", "\"eve\"");
    let mut changed = lines.clone();
    changed[3] = &edited;
    assert_eq!(found(&changed), Some((Tampering::Changed, Some(3))));
    let mut removed = lines.clone();
    removed.remove(5);
    assert_eq!(found(&removed), Some((Tampering::Removed, Some(5))));
    let mut swapped = lines.clone();
    swapped.swap(5, 6);
    assert_eq!(found(&swapped).unwrap().0, Tampering::Removed);
    let mut cut = lines.clone();
    cut.remove(14);
    assert_eq!(found(&cut), Some((Tampering::Truncated, Some(14))));
}

#[test]
fn what_is_no_export_is_refused() {
    let (_fixture, text) = exported();
    let half = &text[..text.len() / 2];
    let unended = text.lines().take(8).collect::<Vec<_>>().join("\n");
    let twice = format!("{text}{text}");
    for bad in ["", "{}", "null\n", half, &unended, &twice] {
        let refused = verify_export(bad.as_bytes(), &Options::default()).unwrap_err();
        assert_eq!(refused.code(), "LED-021", "{bad:.40}");
    }
}

#[test]
fn a_pinned_key_decides() {
    let (fixture, text) = exported();
    let other = Fixture::new();
    other.ledger.append("eve", &build_started(1)).unwrap();
    // A ledger made from scratch with the same name and another key.
    let forged_key = other.ledger.public_key();
    let options = Options { public_key: Some(forged_key), ..Options::default() };
    let report = verify_export(text.as_bytes(), &options).unwrap();
    assert!(report.findings.iter().all(|f| f.tampering == Tampering::Checkpoint));
    assert!(!report.is_intact());
    let nonsense = Options { public_key: Some("nonsense".into()), ..Options::default() };
    assert_eq!(fixture.ledger.verify(&nonsense).unwrap_err().code(), "LED-016");
}
