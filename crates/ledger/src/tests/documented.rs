//! The pages and the documented format hold.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use plimsoll_model::Diagnose as _;

use super::events::{Fixture, story};
use crate::checkpoint::{Checkpoint, CheckpointError, parse_verifier};
use crate::{Error, Finding, PAGES, Tampering};

fn errors() -> Vec<Error> {
    let source = || "cause".into();
    let finding = |tampering| {
        Error::Tampered(Box::new(Finding {
            tampering,
            seq: Some(1),
            message: "m".into(),
            expected: "a".into(),
            found: "b".into(),
        }))
    };
    let path = std::path::PathBuf::from("ledger.db");
    let mut all = vec![
        Error::Url { url: "u".into() },
        Error::Open { path: path.clone(), source: source() },
        Error::NewerSchema { path: path.clone(), found: 2, known: 1 },
        Error::Read { source: source() },
        Error::Write { source: source() },
        Error::Unknown { kind: "decision", source: source() },
        Error::Key { path, why: "w".into() },
        Error::NoKey { why: "w".into(), expected: "e".into(), found: None },
        Error::Unrecordable { kind: "decision", why: "w".into() },
        Error::KeyReused { key: "k".into(), seq: 1 },
        Error::EndMismatch { expected: "e".into(), found: "f".into() },
        Error::Malformed { seq: 1, column: "at" },
        Error::Missing { seq: 1 },
        Error::Corrupt { source: source() },
        Error::Unreadable { seq: 1, why: "w".into() },
        Error::Export { line: 1, why: "w".into() },
        Error::Checkpoint { name: "n".into(), source: CheckpointError::Malformed("w") },
        Error::LockLost { environment: "e".into(), fence: 1, newest: 2, holder: None },
    ];
    all.extend(
        [
            Tampering::Relinked,
            Tampering::Changed,
            Tampering::Removed,
            Tampering::Reordered,
            Tampering::Truncated,
            Tampering::Rewritten,
            Tampering::Checkpoint,
            Tampering::Derived,
            Tampering::Inserted,
        ]
        .map(finding),
    );
    all
}

#[test]
fn each_code_has_one_page_and_each_page_a_code() {
    let pages: Vec<_> = PAGES.iter().map(|page| page.code).collect();
    assert!(pages.is_sorted() && pages.windows(2).all(|w| w[0] != w[1]));
    let codes: BTreeSet<_> = errors().iter().map(|error| error.code()).collect();
    assert_eq!(codes, pages.iter().copied().collect());
    for error in errors() {
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{error}");
        assert!(!error.to_string().contains("cause"), "{error} repeats its source");
    }
}

#[test]
fn checkpoints_are_signed_notes() {
    let Fixture { ledger, .. } = Fixture::new();
    ledger.append_all("ada", &story()).unwrap();
    let (note, verifier) = (ledger.checkpoint().unwrap(), ledger.public_key());
    let (name, key) = parse_verifier(&verifier).unwrap();
    assert_eq!(name, ledger.origin());
    let checkpoint = Checkpoint::verify(&note, &name, &key).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (14, ledger.root(14).unwrap()));
    // A witness may add its line.
    let witnessed = format!("{note}— witness.example AAAAAAAA\n");
    assert_eq!(Checkpoint::verify(&witnessed, &name, &key).unwrap(), checkpoint);
    let verify = |note: &str| Checkpoint::verify(note, &name, &key).unwrap_err();
    assert!(matches!(verify(&note.replace("\n14\n", "\n15\n")), CheckpointError::BadSignature(_)));
    assert!(matches!(verify(&note.replace("plimsoll", "other")), CheckpointError::OtherOrigin(_)));
    assert!(matches!(
        verify(&witnessed.replace(&note, &note[..note.find('—').unwrap()])),
        CheckpointError::NotSigned(_)
    ));
    for bad in ["", "\n\n", "a\nb\nc\n\n", &note.replace("\n14\n", "\n014\n"), &note.replace("— ", "- ")] {
        assert!(matches!(verify(bad), CheckpointError::Malformed(_)), "{bad:?}");
    }
    assert!(parse_verifier(&verifier.replace('+', "-")).is_none());
    assert!(parse_verifier(&verifier[..verifier.len() - 2]).is_none());
}

/// Proofs made from stored nodes verify against signed roots.
#[test]
fn proofs_verify() {
    use crate::merkle::{verify_consistency, verify_inclusion};
    let Fixture { ledger, .. } = Fixture::new();
    ledger.append_all("ada", &story()).unwrap();
    let top = ledger.root(14).unwrap();
    for seq in 1..=14 {
        let hash = ledger.entry(seq).unwrap().unwrap().hash;
        let proof = ledger.inclusion_proof(seq, 14).unwrap();
        assert!(verify_inclusion(&hash, seq - 1, 14, &proof, &top));
        let proof = ledger.consistency_proof(seq, 14).unwrap();
        assert!(verify_consistency(seq, &ledger.root(seq).unwrap(), 14, &top, &proof));
    }
    for (seq, size) in [(0, 14), (15, 14), (15, 15)] {
        assert!(matches!(ledger.inclusion_proof(seq, size), Err(Error::Missing { .. })));
    }
    assert!(ledger.consistency_proof(0, 14).is_err() && ledger.consistency_proof(3, 15).is_err());
    assert!(ledger.root(15).is_err());
}

/// The program in docs/ledger-format.md verifies an export on its own.
#[test]
fn the_documented_program_agrees() {
    let Fixture { ledger, .. } = Fixture::new();
    ledger.append_all("ad\"a, ü", &story()).unwrap();
    ledger.append_once("bob", "key-1", &story()[0]).unwrap();
    let mut export = Vec::new();
    ledger.export(&mut export).unwrap();
    let page = include_str!("../../../../docs/ledger-format.md");
    let program = page.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let started = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut python = match started {
        Ok(child) => child,
        Err(_) if std::env::var_os("PLIMSOLL_REQUIRE_PEERS").is_none() => {
            println!("skipped: needs python3");
            return;
        }
        Err(error) => panic!("python3 is required: {error}"),
    };
    python.stdin.take().unwrap().write_all(&export).unwrap();
    let output = python.wait_with_output().unwrap();
    let expected = format!("15 entries {}\n", ledger.root(15).unwrap().hex());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        expected,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
