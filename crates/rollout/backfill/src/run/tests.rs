//! The loop, on a database that is scripted: every fault at every place, and each
//! row done exactly once.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use plimsoll_evidence_migration_lint::{File, Options as LintOptions};
use plimsoll_model::Diagnose as _;

use super::*;
use crate::declaration::declarations;
use crate::driver::{End, Inspected};
use crate::key::Part;
use crate::throttle::{Reading, Signal};

/// What happens when a batch is run.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Script {
    Fails(Kind),
    /// It is done, and the connection is lost before anybody is told.
    DoneAndLost,
    /// It is not done, and the connection is lost.
    Lost,
    /// Somebody pauses it before the batch, and lets it go on at the next look.
    Paused,
    /// The runner is told to stop.
    Interrupted,
}

/// A table of counters by key.
struct Fake {
    rows: BTreeMap<i64, u32>,
    row: Option<Row>,
    script: VecDeque<Script>,
    /// Keys that do not go through.
    bad: Vec<i64>,
    /// Keys that are written behind, one with each look at what is left.
    behind: VecDeque<i64>,
    interrupt: Arc<AtomicBool>,
    lost: bool,
    looks: VecDeque<f64>,
    sizes: Vec<u64>,
    /// How often a look at all rows takes too long.
    slow_looks: u32,
    again_fails: u32,
}

fn key(number: i64) -> Key {
    Key(vec![Part::Integer(number)])
}

fn number(key: Option<&Key>) -> i64 {
    match key.map(|key| &key.0[0]) {
        Some(Part::Integer(number)) => *number,
        _ => i64::MIN,
    }
}

impl Fake {
    fn new(rows: impl IntoIterator<Item = i64>) -> Self {
        Self {
            rows: rows.into_iter().map(|key| (key, 0)).collect(),
            row: None,
            script: VecDeque::new(),
            bad: Vec::new(),
            behind: VecDeque::new(),
            interrupt: Arc::default(),
            lost: false,
            looks: VecDeque::new(),
            sizes: Vec::new(),
            slow_looks: 0,
            again_fails: 0,
        }
    }

    fn range(&self, above: Option<&Key>, up_to: i64) -> Vec<i64> {
        let above = number(above);
        self.rows.keys().copied().filter(|key| *key > above && *key <= up_to).collect()
    }

    fn connected(&self) -> Result<(), Fault> {
        if self.lost { Err(Fault::new(Kind::Lost, "connection", "gone")) } else { Ok(()) }
    }
}

impl Driver for Fake {
    async fn begin(&mut self, _: &Declaration) -> Result<(), Error> {
        self.lost = false;
        Ok(())
    }

    async fn again(&mut self) -> Result<(), Error> {
        if self.again_fails > 0 {
            self.again_fails -= 1;
            return Err(Error::Database(plimsoll_database::Error::NotAccepting {
                address: "here".into(),
                says: "starting up".into(),
            }));
        }
        self.lost = false;
        Ok(())
    }

    async fn inspect(&mut self) -> Result<Inspected, Error> {
        Ok(Inspected { rows: Some(self.rows.len() as u64) })
    }

    async fn load(&mut self) -> Result<Option<Row>, Error> {
        let row = self.row.clone();
        if let Some(row) = self.row.as_mut().filter(|row| row.state == State::Paused) {
            row.state = State::Open;
        }
        Ok(row)
    }

    async fn put(&mut self, row: &Row) -> Result<(), Fault> {
        self.row = Some(row.clone());
        Ok(())
    }

    async fn save(&mut self, row: &Row, was: State) -> Result<bool, Fault> {
        self.connected()?;
        let there = self.row.as_ref().is_some_and(|row| row.state == was);
        if there {
            self.row = Some(row.clone());
        }
        Ok(there)
    }

    async fn ends(&mut self) -> Result<Option<(Key, Key)>, Fault> {
        let ends = self.rows.first_key_value().zip(self.rows.last_key_value());
        Ok(ends.map(|((first, _), (last, _))| (key(*first), key(*last))))
    }

    async fn end(&mut self, above: Option<&Key>, up_to: &Key, rows: u64) -> Result<End, Fault> {
        self.connected()?;
        let range = self.range(above, number(Some(up_to)));
        Ok(match range.get(rows as usize - 1) {
            Some(found) => End { key: key(*found), rows },
            None => End { key: up_to.clone(), rows: range.len() as u64 },
        })
    }

    async fn batch(&mut self, above: Option<&Key>, next: &Row) -> Result<Batch, Fault> {
        self.connected()?;
        let script = self.script.pop_front();
        match script {
            Some(Script::Fails(kind)) => return Err(Fault::new(kind, "scripted", "no")),
            Some(Script::Lost) => self.lost = true,
            Some(Script::Paused) => self.row.as_mut().unwrap().state = State::Paused,
            Some(Script::Interrupted) => self.interrupt.store(true, Ordering::SeqCst),
            _ => {}
        }
        self.connected()?;
        let row = self.row.as_ref().unwrap();
        if row.state != State::Open || row.above.as_ref() != above {
            return Ok(Batch::Moved);
        }
        let range = self.range(above, number(next.above.as_ref()));
        if range.iter().any(|key| self.bad.contains(key)) {
            return Err(Fault::new(Kind::Row, "22012", "division by zero"));
        }
        self.sizes.push(range.len() as u64);
        for key in &range {
            *self.rows.get_mut(key).unwrap() += 1;
        }
        let changed = range.len() as u64;
        self.row = Some(Row { rows_changed: next.rows_changed + changed, ..next.clone() });
        if script == Some(Script::DoneAndLost) {
            self.lost = true;
            return Err(Fault::new(Kind::Lost, "connection", "lost at COMMIT"));
        }
        Ok(Batch::Done(changed))
    }

    async fn left(&mut self, above: Option<&Key>, up_to: Option<&Key>) -> Result<bool, Fault> {
        if self.slow_looks > 0 && up_to.is_none() && above.is_none() {
            self.slow_looks -= 1;
            return Err(Fault::new(Kind::TooLong, "57014", "too long"));
        }
        if let Some(behind) = self.behind.pop_front() {
            self.rows.insert(behind, 0);
        }
        let range = self.range(above, up_to.map_or(i64::MAX, |key| number(Some(key))));
        Ok(range.iter().any(|key| self.rows[key] == 0))
    }

    async fn look(&mut self) -> Vec<Reading> {
        let value = self.looks.pop_front().unwrap_or(0.0);
        vec![
            Reading { signal: Signal::LockWaits, seen: Seen::Value(value) },
            Reading { signal: Signal::Vacuum, seen: Seen::NotWatched("no right".into()) },
        ]
    }
}

#[derive(Default)]
struct Told(Mutex<Vec<Event>>);

impl Observer for Told {
    fn report(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Told {
    fn count(&self, which: impl Fn(&Event) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|event| which(event)).count()
    }
}

const COUNTING: &str = "UPDATE users SET n = n + 1";
const TELLING: &str = "UPDATE users SET n = 1 WHERE n IS NULL";

fn declared(sql: &str) -> Declaration {
    let text = format!("-- plimsoll: backfill table=users key=id batch=100\n{sql}");
    let file = File { path: "1.sql".into(), bytes: text.into_bytes() };
    declarations(&[file], &LintOptions::default()).unwrap().declared.remove(0)
}

/// Time that stands still until everybody waits: no test takes as long as it says.
fn go(fake: &mut Fake, sql: &str) -> (Result<Done, Error>, Told) {
    let told = Told::default();
    let options = Options {
        interrupt: Arc::clone(&fake.interrupt),
        // The time of a batch is that of this machine here: sizes are not its matter.
        target: Duration::from_secs(3600),
        most_rows: 100,
        ..Options::default()
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let done = runtime.block_on(run(fake, &declared(sql), &options, &told));
    (done, told)
}

#[track_caller]
fn each_once(fake: &Fake) {
    assert!(fake.rows.values().all(|count| *count == 1), "{:?}", fake.rows);
}

#[test]
fn each_row_is_done_once_and_proven() {
    let mut fake = Fake::new((0..1_000).map(|key| key * 7));
    let (done, told) = go(&mut fake, COUNTING);
    let done = done.unwrap();
    each_once(&fake);
    assert_eq!((done.proof.means, done.proof.rows_changed), (Means::KeyRange, 1_000));
    assert_eq!(done.proof.up_to, Some(key(999 * 7)));
    assert_eq!(done.not_watched, ["vacuums of the table (no right)"]);
    let row = fake.row.clone().unwrap();
    assert_eq!((row.state, row.rows_walked, row.batches), (State::Finished, 1_000, 10));
    assert_eq!(told.count(|event| matches!(event, Event::Batch { .. })), 10);
    // Once more: nothing is done.
    let (again, _) = go(&mut fake, COUNTING);
    assert!(again.unwrap().already);
    each_once(&fake);
}

#[test]
fn an_empty_table_is_done() {
    let mut fake = Fake::new([]);
    assert_eq!(go(&mut fake, COUNTING).0.unwrap().proof.up_to, None);
    assert_eq!(go(&mut Fake::new([]), TELLING).0.unwrap().proof.means, Means::NoRowLeft);
}

/// Each kind of fault before and after each batch, in every order of a seed.
#[test]
fn whatever_happens_each_row_is_done_once() {
    let faults = [
        Script::Fails(Kind::Contention),
        Script::Fails(Kind::TooLong),
        Script::DoneAndLost,
        Script::Lost,
        Script::Paused,
        Script::Interrupted,
    ];
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut fake = Fake::new((0..random.i64(0..2_000)).map(|key| key * 3));
        for _ in 0..random.usize(0..30) {
            fake.script.push_back(faults[random.usize(..faults.len())]);
        }
        let done = loop {
            fake.interrupt.store(false, Ordering::SeqCst);
            match go(&mut fake, COUNTING).0 {
                Ok(done) => break done,
                Err(Error::Interrupted { .. } | Error::KeepsFailing { .. } | Error::Paused { .. }) => {}
                Err(other) => panic!("seed {seed}: {other:?}"),
            }
        };
        assert!(fake.rows.values().all(|count| *count == 1), "seed {seed}");
        assert_eq!(done.proof.rows_changed, fake.rows.len() as u64, "seed {seed}");
        assert_eq!(fake.row.as_ref().unwrap().rows_walked, fake.rows.len() as u64, "seed {seed}");
    }
}

#[test]
fn time_outs_make_batches_smaller() {
    let mut fake = Fake::new(0..400);
    fake.script = [Script::Fails(Kind::TooLong), Script::Fails(Kind::TooLong)].into();
    let (done, told) = go(&mut fake, COUNTING);
    done.unwrap();
    each_once(&fake);
    assert_eq!(fake.sizes[..4], [25, 38, 57, 86]);
    assert_eq!(told.count(|event| matches!(event, Event::Retry { .. })), 2);
}

#[test]
fn a_row_that_does_not_go_through_is_found() {
    let mut fake = Fake::new(0..1_000);
    fake.bad = vec![637];
    let error = go(&mut fake, COUNTING).0.unwrap_err();
    assert_eq!(error.code(), "BKF-020");
    assert_eq!(error.found().unwrap(), "division by zero (22012), at id 637");
    let row = fake.row.clone().unwrap();
    assert_eq!((row.state, row.above), (State::Failed, Some(key(636))));
    assert!(row.failure.unwrap().contains("id 637"));
    // The row is mended: it goes on there.
    fake.bad.clear();
    go(&mut fake, COUNTING).0.unwrap();
    each_once(&fake);
}

#[test]
fn what_fails_again_and_again_stops_with_its_keys() {
    let mut fake = Fake::new(0..1_000);
    fake.script = std::iter::repeat_n(Script::Fails(Kind::Contention), 50).collect();
    let error = go(&mut fake, COUNTING).0.unwrap_err();
    assert_eq!(error.code(), "BKF-021");
    assert_eq!(error.found().unwrap(), "no (scripted), at id 0");
    for (kind, code) in [(Kind::Full, "BKF-022"), (Kind::Gone, "BKF-023"), (Kind::Other, "BKF-024")] {
        let mut fake = Fake::new(0..10);
        fake.script = [Script::Fails(kind)].into();
        assert_eq!(go(&mut fake, COUNTING).0.unwrap_err().code(), code);
        assert_eq!(fake.row.unwrap().state, State::Failed);
    }
}

#[test]
fn a_server_that_comes_back_is_waited_for_and_one_that_does_not_is_named() {
    let mut fake = Fake::new(0..300);
    fake.script = [Script::DoneAndLost].into();
    fake.again_fails = 8;
    go(&mut fake, COUNTING).0.unwrap();
    each_once(&fake);
    let mut fake = Fake::new(0..300);
    fake.script = [Script::Lost].into();
    fake.again_fails = 100;
    assert_eq!(go(&mut fake, COUNTING).0.unwrap_err().code(), "BKF-021");
}

#[test]
fn it_waits_while_a_signal_is_high() {
    let mut fake = Fake::new(0..300);
    fake.looks = [0.0, 99.0, 9.0, 0.0].into();
    let (done, told) = go(&mut fake, COUNTING);
    done.unwrap();
    each_once(&fake);
    // 9 is below the threshold of 10, and not well below.
    assert_eq!(told.count(|event| matches!(event, Event::Waiting { .. })), 2);
    assert_eq!(told.count(|event| matches!(event, Event::Resumed { .. })), 1);
}

#[test]
fn rows_that_are_written_behind_are_done_in_another_pass() {
    let mut fake = Fake::new((0..1_000).map(|key| key * 2));
    fake.behind = [301, 303].into();
    let (done, told) = go(&mut fake, TELLING);
    assert_eq!(done.unwrap().proof.means, Means::NoRowLeft);
    assert!(fake.rows.values().all(|count| *count >= 1));
    assert!(fake.row.as_ref().unwrap().pass > 1);
    assert!(told.count(|event| matches!(event, Event::Checking { .. })) > 1);
    // They keep coming.
    let mut fake = Fake::new((0..1_000).map(|key| key * 2));
    fake.behind = (0..50).map(|key| key * 2 + 1).collect();
    let error = go(&mut fake, TELLING).0.unwrap_err();
    assert!(matches!(error, Error::RowsLeft { keep_coming: true, passes: 5, .. }), "{error:?}");
}

#[test]
fn a_look_that_takes_too_long_is_made_in_parts() {
    let mut fake = Fake::new((0..1_000).map(|key| key * 2));
    fake.slow_looks = 1;
    fake.behind = [301].into();
    let (done, told) = go(&mut fake, TELLING);
    assert_eq!(done.unwrap().proof.means, Means::NoRowLeft);
    assert_eq!(fake.row.as_ref().unwrap().pass, 2);
    assert_eq!(told.count(|event| matches!(event, Event::Retry { .. })), 1);
    assert!(fake.rows.values().all(|count| *count >= 1));
}

#[test]
fn a_declaration_that_changed_is_refused_while_half_done() {
    let mut fake = Fake::new(0..1_000);
    fake.script = [Script::Interrupted].into();
    go(&mut fake, COUNTING).0.unwrap_err();
    fake.interrupt.store(false, Ordering::SeqCst);
    let other = "UPDATE users SET n = n + 2";
    let error = go(&mut fake, other).0.unwrap_err();
    assert_eq!(error.code(), "BKF-012");
    assert_eq!(error.found().unwrap().split("; ").nth(1).unwrap(), "1 batches, 100 rows, up to id 99");
    go(&mut fake, COUNTING).0.unwrap();
    each_once(&fake);
    // One that is finished begins anew: it is another backfill.
    go(&mut fake, other).0.unwrap();
    assert!(fake.rows.values().all(|count| *count == 2));
}
