//! Runs what a plan allows. Every turn looks at what the table says and goes on
//! from there: after a crash, after a lost connection and at the first start it is
//! the same way.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plimsoll_evidence_migration_lint::{Script, ScriptStatement, Scripts, Standalone};
use plimsoll_model::Observer;

use crate::Error;
use crate::error::{Changed, Place};
use crate::observer::{finished, note, started, statement as tell_statement};
use crate::plan::{Plan, PlanOptions, plan};
use crate::record::{Record, Step, checksum, prefix, run_here, steps};
use crate::report::{Applied, ApplyReport};
use crate::session::{Doubt, Session, Stop, Timeouts};

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct ApplyOptions {
    /// What may run.
    pub plan: PlanOptions,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Who runs it, for the table and for others who wait.
    pub actor: String,
}

/// How often a connection may be lost without anything having been done in between.
const LOSSES: u32 = 3;
/// How often another runner is looked for.
const POLL: Duration = Duration::from_millis(500);

/// The state of one command.
struct Run<'a, S> {
    session: &'a mut S,
    scripts: &'a Scripts,
    options: &'a ApplyOptions,
    observer: &'a dyn Observer,
    id: String,
    applied: Vec<Applied>,
    part: Option<(String, usize, usize)>,
    losses: u32,
}

/// Runs what the plan allows.
pub(crate) async fn apply<S: Session>(
    session: &mut S,
    scripts: &Scripts,
    options: &ApplyOptions,
    observer: &dyn Observer,
) -> Result<ApplyReport, Error> {
    let id = format!("{:032x}", fastrand::u128(..));
    let began = Instant::now();
    let mut run = Run { session, scripts, options, observer, id, applied: Vec::new(), part: None, losses: 0 };
    let ended = run.until_done().await;
    let changed = run.changed();
    // What a transaction had begun is taken back; the lock goes with the session in
    // any case.
    let _ = run.session.rollback().await;
    let _ = run.session.unlock().await;
    match ended {
        Ok(plan) => Ok(ApplyReport::new(plan, run.applied, began.elapsed())),
        Err(error) => Err(error.after(changed)),
    }
}

impl<S: Session> Run<'_, S> {
    fn changed(&self) -> Changed {
        let files: Vec<String> = self.applied.iter().map(|file| file.path.clone()).collect();
        match &self.part {
            Some((path, done, of)) => Changed::Part { files, path: path.clone(), done: *done, of: *of },
            None if files.is_empty() => Changed::Nothing,
            None => Changed::Files(files),
        }
    }

    /// Turn after turn, until nothing is left to be run. Gives the last plan.
    async fn until_done(&mut self) -> Result<Plan, Error> {
        loop {
            let before = (self.applied.len(), self.part.as_ref().map(|part| part.1));
            match self.turn().await {
                Ok(plan) => return Ok(plan),
                Err(error) if error.is_lost() && self.losses < LOSSES => {
                    let progress = (self.applied.len(), self.part.as_ref().map(|part| part.1));
                    let counts = !matches!(error, Error::Overtaken { .. });
                    self.losses = if progress == before { self.losses + u32::from(counts) } else { 0 };
                    note(self.observer, format!("{error}; connecting again"));
                    self.reconnect(error).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the server is back, as long as it may take.
    async fn reconnect(&mut self, lost: Error) -> Result<(), Error> {
        let until = Instant::now() + self.options.timeouts.reconnect;
        for attempt in 1.. {
            match self.session.reconnect().await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_lost() && Instant::now() < until => {
                    tokio::time::sleep(self.options.timeouts.pause_after(attempt)).await;
                }
                // What ended it is said, not that nobody answers afterwards.
                Err(error) if error.is_lost() => return Err(lost),
                Err(error) => return Err(error),
            }
        }
        Err(lost)
    }

    async fn turn(&mut self) -> Result<Plan, Error> {
        self.lock().await?;
        let history = self.session.history().await?;
        let records: BTreeMap<String, Record> =
            history.records.iter().flatten().map(|record| (record.path.clone(), record.clone())).collect();
        self.confirm(&records);
        let now = plan(self.session.name(), &history, self.scripts, &self.options.plan);
        if let Some(error) = Error::of_plan(&now).filter(|_| !now.allowed) {
            return Err(error);
        }
        if now.runnable().next().is_none() {
            return Ok(now);
        }
        self.session.prepare().await?;
        self.session.arm(&self.options.timeouts).await?;
        let again: Vec<(String, bool)> = now.runnable().map(|file| (file.path.clone(), file.again)).collect();
        for (path, again) in again {
            let Some(script) = self.scripts.files.iter().find(|script| script.path == path) else { continue };
            let record = records.get(&path).filter(|record| !again && !record.finished());
            self.file(script, record).await?;
        }
        let history = self.session.history().await?;
        Ok(plan(self.session.name(), &history, self.scripts, &self.options.plan))
    }

    /// Files of this command of which it was not known whether they ended: the table
    /// says so.
    fn confirm(&mut self, records: &BTreeMap<String, Record>) {
        for record in records.values() {
            if record.run == self.id
                && record.finished()
                && !self.applied.iter().any(|file| file.path == record.path)
            {
                note(self.observer, format!("{}: it was done before the connection was lost", record.path));
                self.done(record, true);
            }
        }
    }

    fn done(&mut self, record: &Record, confirmed: bool) {
        self.part = None;
        self.applied.push(Applied {
            path: record.path.clone(),
            version: record.version.clone(),
            class: record.class.clone(),
            statements: usize::try_from(record.statements).unwrap_or(0),
            duration_sec: Duration::from_millis(u64::try_from(record.duration_ms).unwrap_or(0)).as_secs_f64(),
            backfills: record.backfills.clone(),
            confirmed,
        });
    }

    /// Polls: a lock that is waited for in the server holds a snapshot, for which
    /// CREATE INDEX CONCURRENTLY of the other runner would wait in turn.
    async fn lock(&mut self) -> Result<(), Error> {
        let began = Instant::now();
        let mut told = None;
        loop {
            let holder = match self.session.lock().await? {
                Ok(()) => return Ok(()),
                Err(holder) => holder,
            };
            let waited = began.elapsed();
            if waited >= self.options.timeouts.runner {
                return Err(Error::Busy {
                    database: self.session.name().into(),
                    holder,
                    waited_sec: waited.as_secs_f64(),
                });
            }
            if told.as_ref() != Some(&holder) {
                note(self.observer, format!("waiting for another runner: {holder}"));
                told = Some(holder);
            }
            tokio::time::sleep(POLL.min(self.options.timeouts.runner)).await;
        }
    }

    async fn file(&mut self, script: &Script, before: Option<&Record>) -> Result<(), Error> {
        let statements = run_here(script);
        let mut record = self.record(script, before, statements.len());
        let whole = before.is_none() && script.transactional();
        started(
            self.observer,
            format!("{} ({}, {} statements)", script.path, record.class, statements.len()),
        );
        let watch = Watch { began: Instant::now(), before_ms: record.duration_ms };
        let result = if whole {
            let step = Step { from: 0, to: statements.len(), alone: false };
            self.transaction(script, &statements, &step, &mut record, (true, watch)).await
        } else {
            self.piecewise(script, &statements, &mut record, watch).await
        };
        if let Err(error) = result {
            if !error.is_lost() {
                self.session.rollback().await?;
                if !whole {
                    record.failure = Some(error.to_string().chars().take(500).collect());
                    record.duration_ms = watch.spent();
                    // The failure itself is what is reported.
                    let _ = self.session.write(&record, false, false).await;
                }
            }
            return Err(error);
        }
        self.done(&record, false);
        // Settings of this file are none of the next one's.
        self.session.reset().await?;
        let after = if record.backfills.is_empty() {
            String::new()
        } else {
            format!("; backfills to run beside: {}", record.backfills.join(", "))
        };
        finished(self.observer, format!("{}{after}", script.path), watch.began.elapsed().as_secs_f64());
        Ok(())
    }

    fn record(&self, script: &Script, before: Option<&Record>, statements: usize) -> Record {
        let class = script.class.map(|class| class.to_string()).unwrap_or_default();
        Record {
            path: script.path.clone(),
            version: script.version.clone(),
            checksum: checksum(&script.checksum_text),
            class,
            release: self.options.plan.release.clone(),
            origin: "plimsoll".into(),
            applied_by: self.options.actor.clone(),
            run: self.id.clone(),
            started_at: before.map(|record| record.started_at.clone()).unwrap_or_default(),
            finished_at: None,
            duration_ms: before.map_or(0, |record| record.duration_ms),
            statements: number(statements),
            done: before.map_or(0, |record| record.done),
            done_checksum: before.and_then(|record| record.done_checksum.clone()),
            in_doubt: before.and_then(|record| record.in_doubt),
            failure: None,
            backfills: script.backfills().map(str::to_owned).collect(),
        }
    }

    /// Step after step; each takes the row along.
    async fn piecewise(
        &mut self,
        script: &Script,
        statements: &[&ScriptStatement],
        record: &mut Record,
        watch: Watch,
    ) -> Result<(), Error> {
        let of = statements.len();
        let done = usize::try_from(record.done).unwrap_or(0);
        // From here on it is begun, whatever happens.
        let begun = self.session.write(record, record.started_at.is_empty(), false).await;
        begun.map_err(|stop| stopped(stop, place(script, statements, done), 1))?;
        self.part = Some((script.path.clone(), done, of));
        // Statements that are done have left their settings in a session that is gone.
        for (at, _) in statements.iter().enumerate().take(done).filter(|(_, statement)| statement.setting) {
            let ran = self.statement(script, statements, at, true).await;
            ran.map_err(|stop| stopped(stop, place(script, statements, at), 1))?;
        }
        for step in steps(statements).into_iter().filter(|step| step.to > done) {
            let step = Step { from: step.from.max(done), ..step };
            if step.alone {
                self.alone(script, statements, step.from, record, watch).await?;
            } else {
                self.transaction(script, statements, &step, record, (false, watch)).await?;
            }
            self.part = Some((script.path.clone(), step.to, of));
        }
        if done >= of {
            // All was done before; only the end was not written down.
            record.in_doubt = None;
            record.duration_ms = watch.spent();
            let written = self.session.write(record, false, true).await;
            written.map_err(|stop| stopped(stop, place(script, statements, of), 1))?;
        }
        Ok(())
    }

    /// Statements in one transaction with the row, tried until the locks are had.
    async fn transaction(
        &mut self,
        script: &Script,
        statements: &[&ScriptStatement],
        step: &Step,
        record: &mut Record,
        (new, watch): (bool, Watch),
    ) -> Result<(), Error> {
        let mut attempt = 1;
        loop {
            let mut at = step.from;
            let stop = match self.once(script, statements, step, record, (new, watch), &mut at).await {
                Ok(()) => return Ok(()),
                Err(stop) => stop,
            };
            let place = place(script, statements, at);
            match stop {
                Stop::Lock(blockers) if attempt < self.options.timeouts.attempts => {
                    self.session.rollback().await?;
                    self.pause(&place, attempt, &blockers).await;
                    attempt += 1;
                }
                stop => return Err(stopped(stop, place, attempt)),
            }
        }
    }

    /// One attempt; `at` is left at the statement that stopped it, and the record is as
    /// it was unless all of it was committed.
    async fn once(
        &mut self,
        script: &Script,
        statements: &[&ScriptStatement],
        step: &Step,
        record: &mut Record,
        (new, watch): (bool, Watch),
        at: &mut usize,
    ) -> Result<(), Stop> {
        self.session.begin(&script.path).await?;
        if new {
            self.session.write(record, true, false).await?;
        }
        for number in step.from..step.to {
            *at = number;
            self.statement(script, statements, number, false).await?;
        }
        let after = Record {
            done: number(step.to),
            done_checksum: Some(prefix(statements, step.to)),
            in_doubt: None,
            duration_ms: watch.spent(),
            ..record.clone()
        };
        self.session.write(&after, false, step.to == statements.len()).await?;
        self.session.commit().await?;
        *record = after;
        Ok(())
    }

    /// A statement that cannot be in a transaction: what is about to be done is
    /// written down before, that it was done after. A crash in between leaves it in
    /// doubt, and then the database is looked at.
    async fn alone(
        &mut self,
        script: &Script,
        statements: &[&ScriptStatement],
        at: usize,
        record: &mut Record,
        watch: Watch,
    ) -> Result<(), Error> {
        let place = place(script, statements, at);
        let mut doubtful = record.in_doubt == Some(number(at + 1));
        if !doubtful {
            record.in_doubt = Some(number(at + 1));
            let written = self.session.write(record, false, false).await;
            written.map_err(|stop| stopped(stop, place.clone(), 1))?;
        }
        let mut attempt = 1;
        loop {
            if doubtful && self.was_done(statements[at], &place, attempt).await? {
                break;
            }
            match self.statement(script, statements, at, true).await {
                // IF NOT EXISTS is content with an index that is of no use.
                Ok(()) if !builds_index(statements[at]) => break,
                Ok(()) if self.was_done(statements[at], &place, attempt).await? => break,
                Ok(()) if attempt < self.options.timeouts.attempts => {}
                Ok(()) => return Err(stopped(Stop::Lock(Vec::new()), place, attempt)),
                Err(Stop::Lock(blockers)) if attempt < self.options.timeouts.attempts => {
                    self.pause(&place, attempt, &blockers).await;
                }
                Err(stop) => return Err(stopped(stop, place, attempt)),
            }
            doubtful = true;
            attempt += 1;
        }
        record.done = number(at + 1);
        record.done_checksum = Some(prefix(statements, at + 1));
        record.in_doubt = None;
        record.duration_ms = watch.spent();
        let written = self.session.write(record, false, at + 1 == statements.len()).await;
        written.map_err(|stop| stopped(stop, place, attempt))
    }

    async fn was_done(
        &mut self,
        statement: &ScriptStatement,
        place: &Place,
        attempt: u32,
    ) -> Result<bool, Error> {
        let doubt = self.session.doubt(statement).await;
        match doubt.map_err(|stop| stopped(stop, place.clone(), attempt))? {
            Doubt::Done => Ok(true),
            Doubt::Again(cleared) => {
                if let Some(cleared) = cleared {
                    note(self.observer, format!("{place}: {cleared}"));
                }
                Ok(false)
            }
        }
    }

    async fn statement(
        &mut self,
        script: &Script,
        statements: &[&ScriptStatement],
        at: usize,
        alone: bool,
    ) -> Result<(), Stop> {
        let statement = statements[at];
        tell_statement(self.observer, &script.path, statement, at + 1, statements.len());
        let observer = self.observer;
        let place = format!("{}:{}", script.path, statement.line);
        let tell = move |text: String| note(observer, format!("{place}: {text}"));
        let sql = self.filled(&statement.sql);
        self.session.run(&sql, alone, &tell).await
    }

    /// The statement with flyway's placeholders filled in.
    fn filled(&self, sql: &str) -> String {
        let mut filled = sql.to_owned();
        for (name, value) in &self.options.plan.placeholders {
            filled = filled.replace(&format!("${{{name}}}"), value);
        }
        filled
    }

    async fn pause(&self, place: &Place, attempt: u32, blockers: &[crate::error::Blocker]) {
        let pause = self.options.timeouts.pause_after(attempt);
        let who = match blockers {
            [] => String::new(),
            blockers => format!(
                ", held by {}",
                blockers.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            ),
        };
        note(
            self.observer,
            format!(
                "{place}: no lock within the time{who}; attempt {attempt} of {}, the next in {:.1} s",
                self.options.timeouts.attempts,
                pause.as_secs_f64()
            ),
        );
        tokio::time::sleep(pause).await;
    }
}

/// The time that a file takes, earlier attempts included.
#[derive(Clone, Copy)]
struct Watch {
    began: Instant,
    before_ms: i64,
}

impl Watch {
    fn spent(self) -> i64 {
        self.before_ms.saturating_add(i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}

fn builds_index(statement: &ScriptStatement) -> bool {
    matches!(statement.standalone, Some(Standalone::CreateIndex { index: Some(_), .. }))
}

fn place(script: &Script, statements: &[&ScriptStatement], at: usize) -> Place {
    let at = at.min(statements.len().saturating_sub(1));
    let statement = statements.get(at);
    Place {
        path: script.path.clone(),
        line: statement.map_or(1, |statement| statement.line),
        column: statement.map_or(1, |statement| statement.column),
        number: at + 1,
        of: statements.len(),
    }
}

fn stopped(stop: Stop, place: Place, attempts: u32) -> Error {
    match stop {
        Stop::Lock(blockers) => {
            Error::LockNotGranted { place: place.into(), attempts, blockers, changed: Box::default() }
        }
        Stop::Refused { message, state, too_long } => {
            Error::Statement { place: place.into(), message, state, too_long, changed: Box::default() }
        }
        Stop::Other(error) => error,
    }
}

fn number(of: usize) -> i32 {
    i32::try_from(of).unwrap_or(i32::MAX)
}
