//! Runs one backfill to its end: range, throttle, batch, and so on; then the proof.
//!
//! The row of progress in the database is the only memory. Whatever happens, the
//! loop reads it and goes on from there: a crash, a lost connection and a new start
//! are the same case.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::Error;
use crate::declaration::{Declaration, FIRST_BATCH};
use crate::driver::{Batch, Driver};
use crate::key::Key;
use crate::progress::{Event, Observer, Rate, eta, fraction};
use crate::retry::{Fault, Kind, Next, Retry};
use crate::size::BatchSize;
use crate::state::{Means, Proof, Row, State};
use crate::throttle::{EACH, Reason, Seen, Thresholds, Throttle};

/// How a backfill is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// What a batch should take. Default 200 ms.
    pub target: Duration,
    /// Rows of a batch at least. Default 100.
    pub least_rows: u64,
    /// Rows of a batch at most. Default 50,000.
    pub most_rows: u64,
    /// What a statement may take. Default 30 s.
    pub statement_timeout: Duration,
    /// What waiting for a lock may take. Default 2 s.
    pub lock_timeout: Duration,
    /// How often in a row a batch may fail. Default 12, which is about a minute.
    pub attempts: u32,
    /// How often the table is walked over where rows are written behind. Default 5.
    pub passes: u32,
    /// How long to wait for the lock of a process that was killed. Default 5 s.
    pub lock_wait: Duration,
    /// When to wait.
    pub thresholds: Thresholds,
    /// Set by whoever wants it to stop after the batch that is under way.
    pub interrupt: Arc<AtomicBool>,
    /// Who runs it, as others are shown it; e.g. user, host and process.
    pub runner: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            target: Duration::from_millis(200),
            least_rows: 100,
            most_rows: 50_000,
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(2),
            attempts: 12,
            passes: 5,
            lock_wait: Duration::from_secs(5),
            thresholds: Thresholds::default(),
            interrupt: Arc::new(AtomicBool::new(false)),
            runner: format!("process {}", std::process::id()),
        }
    }
}

/// What running came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// That it is finished.
    pub proof: Proof,
    /// Whether it was finished before.
    pub already: bool,
    /// Signals that nobody looked at, and why.
    pub not_watched: Vec<String>,
}

/// How often a paused or waiting backfill looks whether it is to stop.
const NAP: Duration = Duration::from_millis(100);
/// Rows of one look for what is left.
const LOOK: u64 = 50_000;

/// Runs a backfill on a driver.
pub(crate) async fn run(
    driver: &mut impl Driver,
    declaration: &Declaration,
    options: &Options,
    observer: &dyn Observer,
) -> Result<Done, Error> {
    driver.begin(declaration).await?;
    let found = driver.load().await?;
    if let Some(row) = &found {
        match (row.state, row.declaration == declaration.checksum()) {
            (State::Finished, true) => {
                let proof = row.proof.clone().ok_or_else(|| Error::Progress {
                    name: row.name.clone(),
                    why: "it is finished and has no proof".into(),
                })?;
                return Ok(Done { proof, already: true, not_watched: Vec::new() });
            }
            (State::Paused, _) => return Err(paused(row)),
            (State::Open | State::Failed, false) if row.batches > 0 => {
                return Err(Error::Changed {
                    name: row.name.clone(),
                    origin: Box::new(declaration.origin.clone()),
                    began: row.declaration.clone(),
                    now: declaration.checksum(),
                    done: done(row),
                });
            }
            _ => {}
        }
    }
    let inspected = driver.inspect().await?;
    let found = found.filter(|row| row.declaration == declaration.checksum() && row.state != State::Finished);
    let row = match found {
        Some(row) => Row {
            state: State::Open,
            failure: None,
            waits_for: None,
            runner: options.runner.clone(),
            updated_at: Timestamp::now(),
            ..row
        },
        None => start(driver, declaration, options, inspected.rows).await?,
    };
    let size = BatchSize::new(row.batch_rows, (options.least_rows, options.most_rows), options.target);
    let mut run = Run {
        driver,
        declaration,
        options,
        observer,
        retry: Retry::new(options.attempts),
        throttle: Throttle::default(),
        rate: Rate::default(),
        began: None,
        looked: None,
        waiting: false,
        narrow: None,
        checking: None,
        in_parts: false,
        look: LOOK,
        not_watched: Vec::new(),
        random: fastrand::Rng::new(),
        tried: None,
        size,
        row,
    };
    run.drive().await
}

pub(crate) fn paused(row: &Row) -> Error {
    Error::Paused { name: row.name.clone(), since: format!("since {}; {}", row.updated_at, done(row)) }
}

/// `3 batches, 2,500 rows, up to id 17`.
pub(crate) fn done(row: &Row) -> String {
    let up_to = match &row.above {
        Some(key) => format!(", up to {} {key}", row.key.join(", ")),
        None => String::new(),
    };
    format!("{} batches, {} rows{up_to}", row.batches, row.rows_walked)
}

/// A first row of progress.
async fn start(
    driver: &mut impl Driver,
    declaration: &Declaration,
    options: &Options,
    rows_estimated: Option<u64>,
) -> Result<Row, Error> {
    let now = Timestamp::now();
    let name = declaration.walk.name.clone();
    let failed = |fault: Fault| Error::Statement {
        name: name.clone(),
        keys: "the first key".into(),
        says: fault.words(),
    };
    let ends = driver.ends().await.map_err(failed)?;
    let (first, up_to) = ends.unzip();
    let row = Row {
        name: name.clone(),
        declaration: declaration.checksum(),
        table: declaration.walk.table.clone(),
        key: declaration.walk.key.clone(),
        state: State::Open,
        pass: 1,
        first,
        above: None,
        up_to,
        batch_rows: declaration.walk.batch.unwrap_or(FIRST_BATCH),
        batches: 0,
        rows_walked: 0,
        rows_changed: 0,
        changed_before: 0,
        rows_estimated,
        working_sec: 0.0,
        started_at: now,
        updated_at: now,
        runner: options.runner.clone(),
        waits_for: None,
        failure: None,
        proof: None,
    };
    driver.put(&row).await.map_err(failed)?;
    Ok(row)
}

struct Run<'a, D> {
    driver: &'a mut D,
    declaration: &'a Declaration,
    options: &'a Options,
    observer: &'a dyn Observer,
    size: BatchSize,
    retry: Retry,
    throttle: Throttle,
    rate: Rate,
    /// When this run began, and how far the pass was then.
    began: Option<(std::time::Instant, f64)>,
    looked: Option<Instant>,
    waiting: bool,
    /// The end of a batch in which a row does not go through.
    narrow: Option<Key>,
    /// How far the look for rows that are left has come, and where it ends.
    checking: Option<(Option<Key>, Option<Key>)>,
    /// Whether it is looked at so many rows at a time, since all at once took too long.
    in_parts: bool,
    look: u64,
    not_watched: Vec<String>,
    random: fastrand::Rng,
    /// The range and size of the last attempt, for errors.
    tried: Option<(Key, u64)>,
    row: Row,
}

/// What a turn of the loop came to.
enum Turn {
    On,
    Wait,
    Finished(Proof),
}

impl<D: Driver> Run<'_, D> {
    async fn drive(&mut self) -> Result<Done, Error> {
        // A run that failed or was killed goes on as an open one.
        let open = self.row.clone();
        if let Err(fault) = self.driver.put(&open).await {
            return Err(self.stopped(fault));
        }
        self.first_look().await;
        loop {
            if self.options.interrupt.load(Ordering::SeqCst) {
                return Err(Error::Interrupted { name: self.row.name.clone(), done: done(&self.row) });
            }
            match self.turn().await {
                Ok(Turn::On) => {}
                Ok(Turn::Wait) => self.nap(EACH).await,
                Ok(Turn::Finished(proof)) => {
                    return Ok(Done {
                        proof,
                        already: false,
                        not_watched: std::mem::take(&mut self.not_watched),
                    });
                }
                Err(Stop::Fault(fault)) => self.after(fault).await?,
                Err(Stop::Error(error)) => return Err(error),
            }
        }
    }

    async fn first_look(&mut self) {
        let readings = self.driver.look().await;
        self.not_watched = readings
            .iter()
            .filter_map(|reading| match &reading.seen {
                Seen::NotWatched(why) => Some(format!("{} ({why})", reading.signal.words())),
                _ => None,
            })
            .collect();
        self.observer.report(&Event::Started {
            name: self.row.name.clone(),
            table: self.row.table.clone(),
            rows_walked: self.row.rows_walked,
            rows_estimated: self.row.rows_estimated,
            not_watched: self.not_watched.clone(),
        });
    }

    async fn turn(&mut self) -> Result<Turn, Stop> {
        if let Some(reasons) = self.throttled().await
            && !reasons.is_empty()
        {
            self.wait_for(&reasons).await?;
            return Ok(Turn::Wait);
        }
        if self.row.state == State::Paused {
            return self.while_paused().await;
        }
        if self.waiting {
            self.waiting = false;
            self.row.waits_for = None;
            self.observer.report(&Event::Resumed { name: self.row.name.clone() });
        }
        match (&self.row.up_to, self.row.above == self.row.up_to) {
            (Some(up_to), false) => {
                let up_to = up_to.clone();
                self.batch(&up_to).await
            }
            _ => self.check().await,
        }
    }

    /// Why to wait, looked at once a second; nothing where it is not time to look.
    async fn throttled(&mut self) -> Option<Vec<Reason>> {
        if !self.waiting && self.looked.is_some_and(|looked| looked.elapsed() < EACH) {
            return None;
        }
        self.looked = Some(Instant::now());
        let readings = self.driver.look().await;
        Some(self.throttle.decide(&readings, &self.options.thresholds))
    }

    async fn wait_for(&mut self, reasons: &[Reason]) -> Result<(), Stop> {
        let words = reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let first = !self.waiting;
        self.waiting = true;
        self.observer.report(&Event::Waiting { name: self.row.name.clone(), reasons: reasons.to_vec() });
        if first && self.row.state == State::Open {
            self.row.waits_for = Some(words);
            self.row.updated_at = Timestamp::now();
            let row = self.row.clone();
            if !self.driver.save(&row, State::Open).await? {
                self.reload().await?;
            }
        }
        Ok(())
    }

    async fn while_paused(&mut self) -> Result<Turn, Stop> {
        if !self.waiting {
            self.waiting = true;
            self.observer.report(&Event::Paused { name: self.row.name.clone() });
        }
        self.reload().await?;
        Ok(if self.row.state == State::Paused { Turn::Wait } else { Turn::On })
    }

    /// Reads the row of progress again.
    async fn reload(&mut self) -> Result<(), Stop> {
        let Some(row) = self.driver.load().await? else {
            return Err(Stop::Error(self.progress("its row was removed while it ran")));
        };
        if row.declaration != self.declaration.checksum() {
            return Err(Stop::Error(self.progress("somebody began it anew while it ran")));
        }
        if row.state == State::Finished {
            return Err(Stop::Error(self.progress("somebody finished it while it ran")));
        }
        self.row = row;
        Ok(())
    }

    fn progress(&self, why: &str) -> Error {
        Error::Progress { name: self.row.name.clone(), why: why.into() }
    }

    async fn batch(&mut self, up_to: &Key) -> Result<Turn, Stop> {
        let above = self.row.above.clone();
        let end = self.driver.end(above.as_ref(), up_to, self.size.rows()).await?;
        let mut next = self.row.clone();
        next.above = Some(end.key.clone());
        next.batches += 1;
        next.rows_walked += end.rows;
        next.batch_rows = self.size.rows();
        next.updated_at = Timestamp::now();
        next.runner.clone_from(&self.options.runner);
        next.waits_for = None;
        self.tried = Some((end.key.clone(), end.rows));
        let since = Instant::now();
        // What the batch itself takes is known only afterwards: it goes into the next row.
        let outcome = self.driver.batch(above.as_ref(), &next).await?;
        let took = since.elapsed();
        match outcome {
            Batch::Moved => {
                self.reload().await?;
                return Ok(Turn::On);
            }
            Batch::Done(changed) => next.rows_changed += changed,
        }
        next.working_sec += took.as_secs_f64();
        self.row = next;
        self.retry.worked();
        match &self.narrow {
            // Towards a row that does not go through, batches do not grow.
            Some(end) if self.row.above.as_ref() != Some(end) => {}
            _ => {
                self.narrow = None;
                self.size.took(end.rows, took);
            }
        }
        self.told();
        Ok(Turn::On)
    }

    fn told(&mut self) {
        let now = Instant::now().into_std();
        self.rate.note(now, self.row.rows_walked);
        let fraction = fraction(&self.row);
        let began = *self.began.get_or_insert((now, fraction.unwrap_or(0.0)));
        self.observer.report(&Event::Batch {
            name: self.row.name.clone(),
            pass: self.row.pass,
            rows_walked: self.row.rows_walked,
            rows_changed: self.row.rows_changed,
            batch_rows: self.size.rows(),
            fraction,
            rows_per_sec: self.rate.rows_per_sec(),
            eta_sec: fraction.and_then(|fraction| eta(began, now, fraction)),
        });
    }

    /// All keys are walked over: is anything left?
    async fn check(&mut self) -> Result<Turn, Stop> {
        let (above, last) = match self.checking.clone() {
            Some(begun) => begun,
            None => {
                if !self.declaration.statement.tells() {
                    return self.finish(Means::KeyRange).await;
                }
                self.observer.report(&Event::Checking { name: self.row.name.clone(), pass: self.row.pass });
                let last = self.driver.ends().await?.map(|(_, last)| last);
                self.checking = Some((None, last.clone()));
                (None, last)
            }
        };
        let Some(last) = last else { return self.finish(Means::NoRowLeft).await };
        if !self.in_parts {
            // One statement reads the table in the table's own order, which is far
            // faster than by key. Where it takes too long, parts are looked at.
            return match self.driver.left(None, None).await? {
                true => self.another_pass(None, &last).await,
                false => self.finish(Means::NoRowLeft).await,
            };
        }
        let end = self.driver.end(above.as_ref(), &last, self.look).await?;
        // Beyond the last key of a moment ago there may be others by now.
        let whole = end.key == last;
        let up_to = if whole { None } else { Some(&end.key) };
        if self.driver.left(above.as_ref(), up_to).await? {
            return self.another_pass(above, &end.key).await;
        }
        self.retry.worked();
        if whole {
            return self.finish(Means::NoRowLeft).await;
        }
        self.checking = Some((Some(end.key), Some(last)));
        Ok(Turn::On)
    }

    /// Rows were written behind the walk.
    async fn another_pass(&mut self, above: Option<Key>, near: &Key) -> Result<Turn, Stop> {
        let changed = self.row.rows_changed > self.row.changed_before;
        if self.row.pass > 1 && !changed || self.row.pass >= self.options.passes {
            let keys = self.keys(above.as_ref(), near);
            let error = Error::RowsLeft {
                name: self.row.name.clone(),
                table: self.row.table.clone(),
                keys,
                passes: self.row.pass,
                keep_coming: changed,
            };
            self.failed(&error).await;
            return Err(Stop::Error(error));
        }
        let Some((first, last)) = self.driver.ends().await? else {
            self.checking = None;
            return Ok(Turn::On);
        };
        let next = Row {
            pass: self.row.pass + 1,
            first: above.clone().or(Some(first)),
            above,
            up_to: Some(last),
            changed_before: self.row.rows_changed,
            updated_at: Timestamp::now(),
            ..self.row.clone()
        };
        if self.driver.save(&next, State::Open).await? {
            self.row = next;
            self.began = None;
        } else {
            self.reload().await?;
        }
        self.checking = None;
        Ok(Turn::On)
    }

    async fn finish(&mut self, means: Means) -> Result<Turn, Stop> {
        let proof = Proof {
            name: self.row.name.clone(),
            table: self.row.table.clone(),
            declaration: self.row.declaration.clone(),
            checked_at: Timestamp::now(),
            rows_changed: self.row.rows_changed,
            means,
            up_to: self.row.above.clone(),
        };
        let next = Row {
            state: State::Finished,
            waits_for: None,
            updated_at: proof.checked_at,
            proof: Some(proof.clone()),
            ..self.row.clone()
        };
        if self.driver.save(&next, State::Open).await? {
            self.row = next;
            return Ok(Turn::Finished(proof));
        }
        self.checking = None;
        self.reload().await?;
        Ok(Turn::On)
    }

    /// After a fault: waits, makes batches smaller, connects anew; or stops.
    async fn after(&mut self, fault: Fault) -> Result<(), Error> {
        let rows = self.tried.as_ref().map_or(1, |(_, rows)| *rows);
        let next = self.retry.after(fault.kind, rows.min(self.size.rows()), self.random.f64());
        if next == Next::Stop {
            let error = self.stopped(fault);
            self.failed(&error).await;
            return Err(error);
        }
        if fault.kind == Kind::Row {
            self.narrow = self.tried.as_ref().map(|(end, _)| end.clone());
        }
        if self.checking.is_some() {
            self.look = if self.in_parts { (self.look / 2).max(1) } else { LOOK };
            self.in_parts = true;
        }
        let (wait, lost) = match next {
            Next::Smaller(wait) => {
                // The last batch of a pass may be far smaller than the size says.
                while self.size.halve() && self.size.rows() >= rows.max(2) {}
                (wait, false)
            }
            Next::Reconnect(wait) => (wait, true),
            Next::Stop => (Duration::ZERO, false),
        };
        self.observer.report(&Event::Retry {
            name: self.row.name.clone(),
            why: fault.words(),
            batch_rows: self.size.rows(),
            attempt: self.retry.attempts().max(1),
        });
        self.nap(wait).await;
        if lost {
            self.reconnect().await?;
        }
        Ok(())
    }

    /// Connects as often as a batch may fail, then goes on from what was kept.
    async fn reconnect(&mut self) -> Result<(), Error> {
        loop {
            if self.options.interrupt.load(Ordering::SeqCst) {
                return Ok(());
            }
            let tried = match self.driver.again().await {
                Ok(()) => self.reload().await,
                Err(error) => Err(Stop::from(error)),
            };
            let fault = match tried {
                Ok(()) => return Ok(()),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Fault(fault)) => fault,
            };
            match self.retry.after(Kind::Lost, 1, self.random.f64()) {
                Next::Reconnect(wait) | Next::Smaller(wait) => {
                    self.observer.report(&Event::Retry {
                        name: self.row.name.clone(),
                        why: fault.words(),
                        batch_rows: self.size.rows(),
                        attempt: self.retry.attempts(),
                    });
                    self.nap(wait).await;
                }
                Next::Stop => return Err(self.stopped(fault)),
            }
        }
    }

    /// The keys of a range, in words.
    fn keys(&self, above: Option<&Key>, up_to: &Key) -> String {
        let columns = self.row.key.join(", ");
        match above {
            Some(above) => format!("{columns} above {above} up to {up_to}"),
            None => format!("{columns} up to {up_to}"),
        }
    }

    fn stopped(&self, fault: Fault) -> Error {
        let name = self.row.name.clone();
        let says = fault.words();
        let keys = match &self.tried {
            Some((end, 1)) => format!("{} {end}", self.row.key.join(", ")),
            Some((end, _)) => self.keys(self.row.above.as_ref(), end),
            None => "its start".into(),
        };
        match fault.kind {
            Kind::Row => Error::Row { name, keys, says },
            Kind::Contention | Kind::TooLong | Kind::Lost => {
                Error::KeepsFailing { name, attempts: self.retry.attempts() + 1, keys, says }
            }
            Kind::Full => Error::Full { name, says },
            Kind::Gone => Error::Gone { name, says },
            Kind::Other => Error::Statement { name, keys, says },
        }
    }

    /// Writes down why it stopped. Where that fails too, the error itself is what
    /// counts: the row stays open, and the next run goes on.
    async fn failed(&mut self, error: &Error) {
        let found = plimsoll_model::Diagnose::found(error).map(|found| format!(": {found}"));
        let row = Row {
            state: State::Failed,
            failure: Some(format!("{error}{}", found.unwrap_or_default())),
            updated_at: Timestamp::now(),
            waits_for: None,
            ..self.row.clone()
        };
        let _ = self.driver.save(&row, State::Open).await;
    }

    /// Waits, but not longer than until somebody wants it to stop.
    async fn nap(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.options.interrupt.load(Ordering::SeqCst) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(NAP)).await;
        }
    }
}

/// Why a turn did not come to its end.
enum Stop {
    Fault(Fault),
    Error(Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Stop {
    /// A lost connection is a fault, whatever it was needed for.
    fn from(error: Error) -> Self {
        match error {
            Error::Database(inner) if inner.is_lost() => {
                Self::Fault(Fault::new(Kind::Lost, "connection", inner.to_string()))
            }
            other => Self::Error(other),
        }
    }
}

#[cfg(test)]
mod tests;
