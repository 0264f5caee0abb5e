//! What the runner asks of a database. One implementation for PostgreSQL, one for
//! SQLite; the order of things is the runner's.

use std::future::Future;
use std::time::Duration;

use plimsoll_evidence_migration_lint::ScriptStatement;

use crate::Error;
use crate::error::Blocker;
use crate::plan::History;
use crate::record::Record;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// How long a statement waits for a lock before it gives way. Default: 2 s.
    pub lock: Duration,
    /// The same for statements outside of transactions, which make nobody wait
    /// while they wait. Default: 10 min.
    pub standalone_lock: Duration,
    /// How long one statement may run. Default: without end.
    pub statement: Option<Duration>,
    /// How often a statement tries to get its lock. Default: 20.
    pub attempts: u32,
    /// The first pause between two attempts; it doubles up to `longest_pause`, and
    /// each is between half and all of that. Default: 500 ms.
    pub pause: Duration,
    /// Default: 30 s.
    pub longest_pause: Duration,
    /// How long another runner is waited for. Default: 60 s.
    pub runner: Duration,
    /// How long a server that went away is waited for. Default: 60 s.
    pub reconnect: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            lock: Duration::from_secs(2),
            standalone_lock: Duration::from_secs(600),
            statement: None,
            attempts: 20,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            runner: Duration::from_secs(60),
            reconnect: Duration::from_secs(60),
        }
    }
}

impl Timeouts {
    /// The pause after so many attempts, with jitter: runners that were stopped by the
    /// same lock do not come back together.
    pub(crate) fn pause_after(&self, attempts: u32) -> Duration {
        let whole =
            self.pause.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(self.longest_pause);
        whole.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// Why a statement was not done.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A lock was not granted in time, or the database chose it to end a deadlock:
    /// it can be tried again.
    Lock(Vec<Blocker>),
    /// The database refused it.
    Refused { message: String, state: String, too_long: bool },
    /// Something else: the connection, our own table.
    Other(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<plimsoll_database::Error> for Stop {
    fn from(error: plimsoll_database::Error) -> Self {
        Self::Other(error.into())
    }
}

/// What is known of a statement that was begun and of which it is not known whether it
/// was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// It was done.
    Done,
    /// It was not; run it. What was cleared away first, in words.
    Again(Option<String>),
}

/// What is told while something takes its time.
pub(crate) type Tell<'a> = dyn Fn(String) + Send + Sync + 'a;

/// A database under the runner.
pub(crate) trait Session: Send {
    /// How it is named in messages.
    fn name(&self) -> &str;

    /// Connects again, after the connection was lost.
    fn reconnect(&mut self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Tries to keep other runners away; who does it already, otherwise.
    fn lock(&mut self) -> impl Future<Output = Result<Result<(), String>, Error>> + Send;

    /// Lets other runners in.
    fn unlock(&mut self) -> impl Future<Output = Result<(), Error>> + Send;

    /// What is recorded. Makes nothing.
    fn history(&mut self) -> impl Future<Output = Result<History, Error>> + Send;

    /// Makes the table, where it is absent.
    fn prepare(&mut self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Sets up the session: how long things may take in it.
    fn arm(&mut self, timeouts: &Timeouts) -> impl Future<Output = Result<(), Error>> + Send;

    /// Begins a transaction of a file. It is [`Error::Overtaken`] where somebody else
    /// went on with the file in between.
    fn begin(&mut self, path: &str) -> impl Future<Output = Result<(), Stop>> + Send;

    /// Runs a statement, in the transaction or alone. `tell` hears of who is in the way.
    fn run(
        &mut self,
        sql: &str,
        alone: bool,
        tell: &Tell<'_>,
    ) -> impl Future<Output = Result<(), Stop>> + Send;

    /// Writes the row of a file, replacing the one that is there. `started` and
    /// `finished` say whether the database's clock is read for them.
    fn write(
        &mut self,
        record: &Record,
        started: bool,
        finished: bool,
    ) -> impl Future<Output = Result<(), Stop>> + Send;

    /// Commits. Everything since [`Session::begin`] is done, or nothing is.
    fn commit(&mut self) -> impl Future<Output = Result<(), Stop>> + Send;

    /// Rolls back; without a transaction it does nothing.
    fn rollback(&mut self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Finds out whether a statement outside of transactions was done, and clears
    /// away what a half-done one left.
    fn doubt(&mut self, statement: &ScriptStatement) -> impl Future<Output = Result<Doubt, Stop>> + Send;

    /// The rows of a query, each value as text.
    fn rows(&mut self, sql: &str) -> impl Future<Output = Result<Vec<Vec<Option<String>>>, Error>> + Send;

    /// Whether a table is there, and has this column where one is asked for.
    fn has(&mut self, table: &str, column: Option<&str>) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Whether it is PostgreSQL.
    fn postgres(&self) -> bool;

    /// Takes back the settings that a file made.
    fn reset(&mut self) -> impl Future<Output = Result<(), Error>> + Send;
}
