//! LED-1: whatever is done to the file without the key is found.

use rusqlite::{Connection, params};

use super::events::{Fixture, build_started, story};
use crate::entry::{Row, genesis};
use crate::ledger::Ledger;
use crate::merkle::Frontier;
use crate::store::Query;
use crate::{Error, Options, Report, Tampering};

fn verify(fixture: &Fixture) -> Report {
    fixture.ledger.verify(&Options::default()).unwrap()
}

/// Removes the copy of the checkpoint, so that only the database testifies.
fn forget_copy(fixture: &Fixture) {
    std::fs::remove_file(fixture.ledger.checkpoint_copy().unwrap()).unwrap();
}

fn filled(n: usize) -> Fixture {
    let fixture = Fixture::new();
    let story = story();
    let events: Vec<_> = story.iter().cycle().take(n).cloned().collect();
    fixture.ledger.append_all("ada", &events).unwrap();
    fixture
}

fn rows(ledger: &Ledger) -> Vec<Row> {
    ledger.rows(&Query::default()).unwrap()
}

/// Makes every hash, link, node and the recorded end again from `seq` on, as
/// somebody would who knows the format and has no key.
fn rehash(raw: &Connection, ledger: &Ledger) {
    let (mut prev, mut frontier) = (genesis(ledger.origin()), Frontier::default());
    for mut row in rows(ledger) {
        row.prev = prev;
        row.hash = row.computed_hash();
        let nodes: Vec<u8> = frontier.push(&row.hash).iter().flat_map(|d| *d.as_bytes()).collect();
        raw.execute(
            "UPDATE entries SET prev = ?1, hash = ?2, nodes = ?3 WHERE seq = ?4",
            params![row.prev.as_bytes(), row.hash.as_bytes(), nodes, row.seq as i64],
        )
        .unwrap();
        prev = row.hash;
    }
    let peaks: Vec<u8> = frontier.peaks().iter().flat_map(|d| *d.as_bytes()).collect();
    raw.execute(
        "UPDATE head SET size = ?1, hash = ?2, peaks = ?3",
        params![frontier.size() as i64, prev.as_bytes(), peaks],
    )
    .unwrap();
}

#[test]
fn an_untouched_ledger_is_intact() {
    for n in [0, 1, 2, 7, 8, 33] {
        let report = verify(&filled(n));
        assert_eq!((report.findings, report.entries), (Vec::new(), n as u64));
        assert_eq!(report.agreements.len(), if n == 0 { 1 } else { 2 });
    }
}

#[test]
fn each_kind_of_tampering_has_its_name() {
    let cases: &[(&str, &str, Tampering, Option<u64>)] = &[
        ("an edited actor", "UPDATE entries SET actor = 'eve' WHERE seq = 5", Tampering::Changed, Some(5)),
        (
            "a replaced hash",
            "UPDATE entries SET hash = zeroblob(32) WHERE seq = 5",
            Tampering::Changed,
            Some(5),
        ),
        ("a hash too short", "UPDATE entries SET hash = x'00' WHERE seq = 5", Tampering::Changed, Some(5)),
        ("a removed entry", "DELETE FROM entries WHERE seq = 5", Tampering::Removed, Some(5)),
        (
            "a removed entry and the rest moved up",
            "DELETE FROM entries WHERE seq = 5; UPDATE entries SET seq = -(seq - 1) WHERE seq > 5;
             UPDATE entries SET seq = -seq WHERE seq < 0",
            Tampering::Removed,
            Some(5),
        ),
        (
            "two exchanged entries",
            "UPDATE entries SET seq = -5 WHERE seq = 5; UPDATE entries SET seq = 5 WHERE seq = 9;
             UPDATE entries SET seq = 9 WHERE seq = -5",
            Tampering::Reordered,
            Some(5),
        ),
        ("truncation", "DELETE FROM entries WHERE seq > 9", Tampering::Truncated, Some(10)),
        (
            "a derived column",
            "UPDATE entries SET outcome = 'failed' WHERE seq = 7",
            Tampering::Derived,
            Some(7),
        ),
        ("a tree node", "UPDATE entries SET nodes = zeroblob(32) WHERE seq = 6", Tampering::Derived, Some(6)),
        (
            "a checkpoint edited",
            "UPDATE head SET checkpoint = replace(checkpoint, '14', '13')",
            Tampering::Checkpoint,
            None,
        ),
        (
            "an entry put before the first",
            "INSERT INTO entries SELECT -5, at, 'eve', kind, environment, sha, idempotency, prev, hash, nodes, rollout,
             repository_type, direction, outcome, image, duration_sec, body FROM entries WHERE seq = 7",
            Tampering::Reordered,
            Some(0),
        ),
        ("the recorded end", "UPDATE head SET peaks = zeroblob(96)", Tampering::Derived, None),
    ];
    for (name, deed, tampering, seq) in cases {
        let fixture = filled(14);
        fixture.raw().execute_batch(deed).unwrap();
        let report = verify(&fixture);
        let first = report.findings.first().unwrap_or_else(|| panic!("{name} was not found"));
        assert_eq!((first.tampering, first.seq), (*tampering, *seq), "{name}: {:#?}", report.findings);
        assert!(!first.message.is_empty());
    }
}

#[test]
fn an_inserted_entry_is_found() {
    let fixture = filled(14);
    let raw = fixture.raw();
    // Moves everything after 5 one up and puts a copy of 2 in the place.
    raw.execute_batch(
        "UPDATE entries SET seq = -(seq + 1) WHERE seq > 5; UPDATE entries SET seq = -seq WHERE seq < 0;
         INSERT INTO entries SELECT 6, at, actor, kind, environment, sha, idempotency, prev, hash, nodes, rollout,
         repository_type, direction, outcome, image, duration_sec, body FROM entries WHERE seq = 2;",
    )
    .unwrap();
    let report = verify(&fixture);
    assert!(report.findings.iter().any(|f| f.tampering == Tampering::Inserted), "{:#?}", report.findings);
    // And one put at the end, complete with hashes.
    let fixture = filled(14);
    fixture
        .raw()
        .execute_batch(
            "INSERT INTO entries SELECT 15, at, 'eve', kind, environment, sha, idempotency, prev, hash, nodes, rollout,
             repository_type, direction, outcome, image, duration_sec, body FROM entries WHERE seq = 13;",
        )
        .unwrap();
    rehash(&fixture.raw(), &fixture.ledger);
    let report = verify(&fixture);
    assert_eq!(report.findings[0].tampering, Tampering::Inserted, "{:#?}", report.findings);
    assert_eq!(report.findings[0].seq, Some(15));
}

/// A forger who makes all hashes again is betrayed by the signed root alone.
#[test]
fn a_rewritten_chain_is_found_and_narrowed_down() {
    let fixture = filled(9);
    let early = fixture.ledger.checkpoint().unwrap();
    fixture.ledger.append_all("ada", &story()).unwrap();
    forget_copy(&fixture);
    let raw = fixture.raw();
    raw.execute("UPDATE entries SET actor = 'eve' WHERE seq = 12", []).unwrap();
    rehash(&raw, &fixture.ledger);
    let report = verify(&fixture);
    let short: Vec<_> = report.findings.iter().map(|f| (f.tampering, f.seq)).collect();
    assert_eq!(short, [(Tampering::Rewritten, Some(1))]);
    let options = Options { checkpoints: vec![("kept".into(), early)], ..Options::default() };
    let report = fixture.ledger.verify(&options).unwrap();
    assert_eq!((report.findings[0].tampering, report.findings[0].seq), (Tampering::Rewritten, Some(10)));
    assert_eq!(report.agreements[0].size, 9);
    let error = report.into_result().unwrap_err();
    assert!(matches!(error, Error::Tampered(_)));
}

/// A forger who also puts back an old signed checkpoint is betrayed by any
/// newer one kept elsewhere, first of all the copy beside the database.
#[test]
fn an_old_state_put_back_is_found_by_the_copy() {
    let fixture = filled(9);
    let early = fixture.ledger.checkpoint().unwrap();
    fixture.ledger.append_all("ada", &story()).unwrap();
    let late = fixture.ledger.checkpoint().unwrap();
    let raw = fixture.raw();
    raw.execute("DELETE FROM entries WHERE seq > 9", []).unwrap();
    raw.execute("UPDATE head SET checkpoint = ?1", [&early]).unwrap();
    rehash(&raw, &fixture.ledger);
    let report = verify(&fixture);
    assert_eq!((report.findings[0].tampering, report.findings[0].seq), (Tampering::Truncated, Some(10)));
    // Without the copy nothing in the file contradicts it: the documented limit.
    forget_copy(&fixture);
    assert!(verify(&fixture).is_intact());
    let options = Options { checkpoints: vec![("kept".into(), late)], ..Options::default() };
    let report = fixture.ledger.verify(&options).unwrap();
    assert_eq!(report.findings[0].tampering, Tampering::Truncated);
}

#[test]
fn another_key_in_the_file_is_found_by_pinned_checkpoint_or_key() {
    let fixture = filled(5);
    let (pinned, kept) = (fixture.ledger.public_key(), fixture.ledger.checkpoint().unwrap());
    let forged = filled(5);
    // The forger's ledger takes the place of the original, name and all.
    let path = fixture.path();
    drop(fixture.ledger);
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(path.with_file_name(format!("ledger.db{suffix}")));
    }
    let raw = forged.raw();
    raw.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    std::fs::copy(forged.path(), &path).unwrap();
    let ledger = Ledger::open(&super::events::url(&fixture.dir), crate::KeySource::Beside).unwrap();
    let refused = ledger.append("ada", &build_started(1)).unwrap_err();
    assert!(matches!(refused, Error::NoKey { .. }));
    for options in [
        Options { public_key: Some(pinned), ..Options::default() },
        Options { checkpoints: vec![("kept".into(), kept)], ..Options::default() },
    ] {
        let report = ledger.verify(&options).unwrap();
        assert_eq!(report.findings[0].tampering, Tampering::Checkpoint);
    }
}

/// An entry hidden from look-ups alone: taken out of an index, not the table.
#[test]
fn an_index_that_hides_an_entry_is_found() {
    let fixture = filled(14);
    let raw = fixture.raw();
    // Lets the index be rebuilt as if it left the entry out, then says it does not.
    let edit = |from: &str, to: &str| {
        raw.execute_batch("PRAGMA writable_schema = ON").unwrap();
        let sql = "UPDATE sqlite_master SET sql = replace(sql, ?1, ?2) WHERE name = 'entries_outcome'";
        assert_eq!(raw.execute(sql, [from, to]).unwrap(), 1);
        raw.execute_batch("PRAGMA writable_schema = RESET").unwrap();
    };
    edit("outcome IS NOT NULL", "outcome IS NOT NULL AND seq < 14");
    raw.execute_batch("REINDEX entries_outcome").unwrap();
    edit(" AND seq < 14", "");
    let ledger = Ledger::open(&super::events::url(&fixture.dir), crate::KeySource::Beside).unwrap();
    assert_eq!(ledger.current("production").unwrap().unwrap().entry, 7, "the deed worked");
    let report = ledger.verify(&Options::default()).unwrap();
    assert_eq!(report.findings[0].tampering, Tampering::Derived, "{:#?}", report.findings);
}

#[test]
fn appending_to_a_cut_ledger_is_refused() {
    let fixture = filled(14);
    fixture.raw().execute("DELETE FROM entries WHERE seq = 14", []).unwrap();
    let refused = fixture.ledger.append("ada", &build_started(1)).unwrap_err();
    assert!(matches!(refused, Error::EndMismatch { .. }));
}

#[test]
fn accidents_are_stopped_by_the_database() {
    let fixture = filled(3);
    let raw = Connection::open(fixture.path()).unwrap();
    for sql in ["UPDATE entries SET actor = 'x'", "DELETE FROM entries WHERE seq = 3"] {
        assert!(raw.execute(sql, []).unwrap_err().to_string().contains("append-only"));
    }
}

/// Random single mutations, and the same with everything rehashed after them.
#[test]
fn random_mutations_are_always_found() {
    const COLUMNS: [&str; 17] = [
        "seq",
        "at",
        "actor",
        "kind",
        "environment",
        "sha",
        "idempotency",
        "prev",
        "hash",
        "nodes",
        "rollout",
        "repository_type",
        "direction",
        "outcome",
        "image",
        "duration_sec",
        "body",
    ];
    const N: i64 = 29;
    let seed = std::env::var("PLIMSOLL_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0xC0FFEE);
    let mut rng = fastrand::Rng::with_seed(seed);
    let fixture = filled(N as usize);
    let mut raw = fixture.raw();
    raw.execute_batch(
        "PRAGMA synchronous = OFF; CREATE TABLE kept AS SELECT * FROM entries;
         CREATE TABLE kept_head AS SELECT * FROM head;",
    )
    .unwrap();
    for round in 0..400 {
        let tx = raw.transaction().unwrap();
        let seq = rng.i64(1..=N);
        let mut rehashed = false;
        let deed = match rng.u8(0..10) {
            0 => {
                tx.execute("DELETE FROM entries WHERE seq = ?1", [seq]).unwrap();
                format!("delete {seq}")
            }
            1 => {
                tx.execute("DELETE FROM entries WHERE seq >= ?1", [seq]).unwrap();
                format!("truncate at {seq}")
            }
            2 => {
                let other = 1 + (seq + rng.i64(1..N) - 1) % N;
                for (from, to) in [(seq, -1), (other, seq), (-1, other)] {
                    tx.execute("UPDATE entries SET seq = ?2 WHERE seq = ?1", [from, to]).unwrap();
                }
                format!("swap {seq} and {other}")
            }
            kind => {
                let column = COLUMNS[rng.usize(..COLUMNS.len())];
                let before: rusqlite::types::Value = tx
                    .query_row(&format!("SELECT {column} FROM entries WHERE seq = ?1"), [seq], |r| r.get(0))
                    .unwrap();
                let after = mutated(&before, column, &mut rng);
                tx.execute(&format!("UPDATE entries SET {column} = ?2 WHERE seq = ?1"), params![seq, after])
                    .unwrap();
                // What a forger can make good without the key.
                rehashed = kind >= 7 && ["at", "actor", "idempotency", "body"].contains(&column);
                format!("{column} of {seq}: {before:?} -> {after:?}, rehashed: {rehashed}")
            }
        };
        tx.commit().unwrap();
        if rehashed {
            rehash(&raw, &fixture.ledger);
        }
        let report = verify(&fixture);
        assert!(!report.is_intact(), "seed {seed}, round {round}: {deed} was not found");
        raw.execute_batch(
            "DELETE FROM entries; INSERT INTO entries SELECT * FROM kept;
             DELETE FROM head; INSERT INTO head SELECT * FROM kept_head;",
        )
        .unwrap();
    }
    assert!(verify(&fixture).is_intact());

    fn mutated(
        before: &rusqlite::types::Value,
        column: &str,
        rng: &mut fastrand::Rng,
    ) -> rusqlite::types::Value {
        use rusqlite::types::Value;
        match before {
            Value::Integer(_) => Value::Integer(N + rng.i64(1..1000)),
            Value::Real(seconds) => Value::Real(seconds + 1.0),
            Value::Null if column == "duration_sec" => Value::Real(1.0),
            Value::Null => Value::Text("x".into()),
            Value::Text(text) => Value::Text(format!("{text}x")),
            Value::Blob(bytes) if bytes.is_empty() => Value::Blob(vec![7; 32]),
            Value::Blob(bytes) => {
                let mut bytes = bytes.clone();
                let at = rng.usize(..bytes.len());
                bytes[at] ^= 1 << rng.u8(..8);
                Value::Blob(bytes)
            }
        }
    }
}
