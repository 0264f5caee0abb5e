//! Invariant 6: nothing acknowledged is lost, nothing is recorded twice,
//! whatever fails and however it fails.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use plimsoll_model::Diagnose as _;

use super::events::{Fixture, build_started, finished, step, story, url};
use crate::key::SigningKey;
use crate::sqlite::Sqlite;
use crate::store::{Decide, End, LockRow, Prepare, Query, Store, Visit};
use crate::{Error, KeySource, Ledger, Options};

/// How the next append fails.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Nothing is written.
    Failed,
    /// It is written, and the caller is told it was not.
    FailedButPersisted,
    /// As above, and nothing can be read afterwards.
    FailedBlind,
}

struct Faulty {
    inner: Sqlite,
    fault: Arc<Mutex<Fault>>,
}

fn injected() -> Error {
    Error::Write { source: "injected".into() }
}

impl Store for Faulty {
    fn end(&mut self) -> Result<End, Error> {
        self.inner.end()
    }

    fn append(&mut self, lock_of: Option<&str>, prepare: &mut Prepare<'_>) -> Result<(), Error> {
        let fault = *self.fault.lock().unwrap();
        match fault {
            Fault::None => self.inner.append(lock_of, prepare),
            Fault::Failed => {
                self.inner.append(lock_of, &mut |end| prepare(end).map(|_| None))?;
                Err(injected())
            }
            Fault::FailedButPersisted | Fault::FailedBlind => {
                self.inner.append(lock_of, prepare)?;
                Err(injected())
            }
        }
    }

    fn scan(&mut self, query: &Query, visit: &mut Visit<'_>) -> Result<(), Error> {
        if *self.fault.lock().unwrap() == Fault::FailedBlind {
            return Err(Error::Read { source: "injected".into() });
        }
        self.inner.scan(query, visit)
    }

    fn lock(&mut self, environment: &str, decide: Option<&mut Decide<'_>>) -> Result<Option<LockRow>, Error> {
        self.inner.lock(environment, decide)
    }

    fn inspect(&mut self) -> Result<Option<String>, Error> {
        self.inner.inspect()
    }
}

fn key_of(fixture: &Fixture) -> Option<SigningKey> {
    SigningKey::load(&fixture.path().with_file_name("ledger.db.key")).unwrap()
}

fn sqlite_of(fixture: &Fixture) -> Sqlite {
    Sqlite::open(&fixture.path(), &mut || panic!("the ledger is there")).unwrap()
}

fn faulty() -> (Fixture, Ledger, Arc<Mutex<Fault>>) {
    let fixture = Fixture::new();
    let fault = Arc::new(Mutex::new(Fault::None));
    let store = Faulty { inner: sqlite_of(&fixture), fault: fault.clone() };
    let ledger = Ledger::with_store(Box::new(store), key_of(&fixture), None).unwrap();
    (fixture, ledger, fault)
}

#[test]
fn failed_means_not_recorded() {
    let (fixture, ledger, fault) = faulty();
    ledger.append("ada", &build_started(1)).unwrap();
    *fault.lock().unwrap() = Fault::Failed;
    assert_eq!(ledger.append_all("ada", &story()).unwrap_err().code(), "LED-005");
    assert_eq!(ledger.append_once("ada", "k", &build_started(2)).unwrap_err().code(), "LED-005");
    *fault.lock().unwrap() = Fault::None;
    assert_eq!(ledger.size().unwrap(), 1);
    assert_eq!(ledger.append_once("ada", "k", &build_started(2)).unwrap().seq, 2);
    assert!(fixture.ledger.verify(&Options::default()).unwrap().is_intact());
}

#[test]
fn failed_but_persisted_is_recorded_once() {
    let (fixture, ledger, fault) = faulty();
    *fault.lock().unwrap() = Fault::FailedButPersisted;
    let receipts = ledger.append_all("ada", &story()).unwrap();
    assert_eq!((receipts.len(), ledger.size().unwrap()), (14, 14));
    let receipt = ledger.append_once("ada", "k", &build_started(2)).unwrap();
    assert_eq!(ledger.append_once("ada", "k", &build_started(2)).unwrap(), receipt);
    assert_eq!(ledger.size().unwrap(), 15);
    assert!(fixture.ledger.verify(&Options::default()).unwrap().is_intact());
}

#[test]
fn what_cannot_be_told_is_said_to_be_unknown() {
    let (fixture, ledger, fault) = faulty();
    let event = build_started(1);
    *fault.lock().unwrap() = Fault::FailedBlind;
    let unknown = ledger.append("ada", &event).unwrap_err();
    assert_eq!(unknown.code(), "LED-006");
    *fault.lock().unwrap() = Fault::None;
    // It was persisted; a retry under a key finds what a retry under it did.
    let first = ledger.append_once("ada", "k", &event).unwrap();
    assert_eq!((first.seq, ledger.size().unwrap()), (2, 2));
    assert!(fixture.ledger.verify(&Options::default()).unwrap().is_intact());
}

#[test]
fn a_full_disk_leaves_the_ledger_as_it_was() {
    let fixture = Fixture::new();
    let sqlite = sqlite_of(&fixture);
    let pages: i64 = sqlite.connection().query_row("PRAGMA page_count", [], |r| r.get(0)).unwrap();
    sqlite
        .connection()
        .query_row(&format!("PRAGMA max_page_count = {}", pages + 4), [], |r| r.get::<_, i64>(0))
        .unwrap();
    let ledger = Ledger::with_store(Box::new(sqlite), key_of(&fixture), None).unwrap();
    let mut recorded = 0;
    let error = loop {
        match ledger.append_all("ada", &story()) {
            Ok(receipts) => recorded += receipts.len() as u64,
            Err(error) => break error,
        }
        assert!(recorded < 10_000, "the disk never got full");
    };
    assert_eq!(error.code(), "LED-005");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("full"));
    assert_eq!(ledger.size().unwrap(), recorded);
    // Once there is room again, it goes on.
    fixture.ledger.append("ada", &build_started(1)).unwrap();
    let report = fixture.ledger.verify(&Options::default()).unwrap();
    assert_eq!((report.findings, report.entries), (Vec::new(), recorded + 1));
}

#[test]
fn a_read_only_ledger_is_read_and_says_so() {
    let fixture = Fixture::new();
    fixture.ledger.append("ada", &build_started(1)).unwrap();
    let sqlite = sqlite_of(&fixture);
    sqlite.connection().execute_batch("PRAGMA query_only = 1").unwrap();
    let ledger = Ledger::with_store(Box::new(sqlite), key_of(&fixture), None).unwrap();
    assert_eq!(ledger.append("ada", &build_started(2)).unwrap_err().code(), "LED-005");
    assert_eq!(ledger.size().unwrap(), 1);
    assert!(ledger.verify(&Options::default()).unwrap().is_intact());
}

#[test]
fn what_is_no_database_is_said_to_be_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/ledger.db");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "not a database, and long enough to be taken for a header. ".repeat(100)).unwrap();
    let error = Ledger::open(&url(&dir), KeySource::Beside).unwrap_err();
    assert_eq!((error.code(), error.class().exit_code()), ("LED-019", 4));
    // A directory in its place is no damage, only no file.
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("state/ledger.db")).unwrap();
    assert_eq!(Ledger::open(&url(&dir), KeySource::Beside).unwrap_err().code(), "LED-002");
}

/// Random bytes of the file are overwritten. Whatever that hits, nothing
/// panics, and either verification finds it or every entry still reads the same.
#[test]
fn random_damage_is_found_or_harmless() {
    let fixture = Fixture::new();
    for _ in 0..20 {
        fixture.ledger.append_all("ada", &story()).unwrap();
    }
    let whole = fixture.ledger.rows(&Query::default()).unwrap();
    rusqlite::Connection::open(fixture.path())
        .unwrap()
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    let original = std::fs::read(fixture.path()).unwrap();
    let key = std::fs::read(fixture.path().with_file_name("ledger.db.key")).unwrap();
    let mut rng = fastrand::Rng::with_seed(11);
    for round in 0..60 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/ledger.db");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::write(path.with_file_name("ledger.db.key"), &key).unwrap();
        let mut bytes = original.clone();
        let at = rng.usize(..bytes.len() - 64);
        bytes[at..at + 64].iter_mut().for_each(|b| *b = rng.u8(..));
        std::fs::write(&path, bytes).unwrap();
        let Ok(ledger) = Ledger::open(&url(&dir), KeySource::Beside) else { continue };
        let Ok(report) = ledger.verify(&Options::default()) else { continue };
        if report.is_intact() {
            assert_eq!(ledger.rows(&Query::default()).unwrap(), whole, "round {round}, at {at}");
        }
    }
}

#[test]
fn first_use_by_many_at_once_makes_one_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let origins: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let url = url(&dir);
                scope.spawn(move || {
                    let ledger = Ledger::open(&url, KeySource::Beside).unwrap();
                    for i in 0..5 {
                        ledger.append(&format!("writer {n}"), &build_started(i)).unwrap();
                    }
                    ledger.origin().to_owned()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(origins.windows(2).all(|w| w[0] == w[1]));
    let ledger = Ledger::open(&url(&dir), KeySource::None).unwrap();
    let report = ledger.verify(&Options::default()).unwrap();
    assert_eq!((report.findings, report.entries), (Vec::new(), 40));
    let left: Vec<_> = dir
        .path()
        .join("state")
        .read_dir()
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

const CHILD: &str = "PLIMSOLL_LEDGER_TEST_WRITER";

/// Not a test of its own: the process that is killed below. Appends until
/// then and says what was acknowledged.
#[test]
fn writer_process() {
    let Some(url) = std::env::var_os(CHILD) else { return };
    let ledger = Ledger::open(url.to_str().unwrap(), KeySource::Beside).unwrap();
    let mut out = std::io::stdout().lock();
    for n in 0.. {
        let receipts = match n % 3 {
            0 => vec![ledger.append("child", &step("production", "r1", None)).unwrap()],
            1 => ledger.append_all("child", &story()).unwrap(),
            _ => vec![
                ledger
                    .append_once("child", &format!("{}-{n}", std::process::id()), &build_started(n))
                    .unwrap(),
            ],
        };
        for receipt in receipts {
            writeln!(out, "acknowledged {} {}", receipt.seq, receipt.hash).unwrap();
        }
        out.flush().unwrap();
    }
}

fn spawn_writer(url: &str) -> (Child, mpsc::Receiver<String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::faults::writer_process", "--nocapture", "--test-threads=1"])
        .env(CHILD, url)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (send, lines) = mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    (child, lines)
}

/// kill -9 at random moments, one writer or two at once, 110 kills in all.
#[test]
fn killed_writers_lose_nothing_they_acknowledged() {
    let fixture = Fixture::new();
    let url = url(&fixture.dir);
    let mut rng = fastrand::Rng::with_seed(5);
    let mut acknowledged = Vec::new();
    for round in 0..100 {
        let mut writers = vec![spawn_writer(&url)];
        if round % 10 == 0 {
            writers.push(spawn_writer(&url));
        }
        // Some are killed while they open, most while they append.
        let patience = Duration::from_micros(rng.u64(0..30_000));
        if rng.u8(..8) > 0 {
            let first = writers[0].1.iter().find(|line| line.starts_with("acknowledged"));
            acknowledged.extend(first);
        }
        let deadline = std::time::Instant::now() + patience;
        while let Ok(line) =
            writers[0].1.recv_timeout(deadline.saturating_duration_since(std::time::Instant::now()))
        {
            acknowledged.push(line);
        }
        for (child, _) in &mut writers {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        acknowledged.extend(writers.iter().flat_map(|(_, lines)| lines.iter()));
        if round % 10 == 9 {
            let report = fixture.ledger.verify(&Options::default()).unwrap();
            assert_eq!(report.findings, Vec::new(), "round {round}");
        }
    }
    let rows = fixture.ledger.rows(&Query { without_body: true, ..Query::default() }).unwrap();
    let mut count = 0;
    for line in &acknowledged {
        let Some(rest) = line.strip_prefix("acknowledged ") else { continue };
        // The last line of a killed writer may be cut short.
        let Some((seq, hash)) = rest.split_once(' ').filter(|(_, hash)| hash.len() == 71) else { continue };
        let seq: usize = seq.parse().unwrap();
        assert_eq!(rows[seq - 1].hash.to_string(), hash, "entry {seq}");
        count += 1;
    }
    assert!(count > 100, "only {count} acknowledged");
    // What a killed writer left does not stop the next one.
    let last = finished(
        "production",
        "r1",
        plimsoll_model::event::RolloutKind::Deploy,
        None,
        1,
        plimsoll_model::event::RolloutOutcome::Succeeded,
    );
    fixture.ledger.append("ada", &last).unwrap();
}
