//! What the loop asks of a database. PostgreSQL and SQLite answer, and a scripted
//! one in the tests.

use crate::Error;
use crate::declaration::Declaration;
use crate::key::Key;
use crate::retry::Fault;
use crate::state::{Row, State};
use crate::throttle::Reading;

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Batch {
    /// It is done, with its row of progress; so many rows changed.
    Done(u64),
    /// Nothing was done: the row of progress is not what it was thought to be.
    Moved,
}

/// What a table is, for a start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inspected {
    /// Rows, as the database estimates them.
    pub(crate) rows: Option<u64>,
}

/// Where a range ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) key: Key,
    /// Rows in it.
    pub(crate) rows: u64,
}

/// A database with one backfill at a time. All of it may be repeated.
pub(crate) trait Driver {
    /// Makes the table of backfills, takes the lock of this one, and keeps it.
    ///
    /// # Errors
    /// `BKF-010` where somebody else has it.
    async fn begin(&mut self, declaration: &Declaration) -> Result<(), Error>;
    /// After the connection was lost: connects and takes the lock again.
    async fn again(&mut self) -> Result<(), Error>;
    /// Whether the database has what the declaration needs.
    async fn inspect(&mut self) -> Result<Inspected, Error>;
    /// The row of progress.
    async fn load(&mut self) -> Result<Option<Row>, Error>;
    /// Writes a row of progress, in the place of one that may be there.
    async fn put(&mut self, row: &Row) -> Result<(), Fault>;
    /// Changes the row of progress where its state is still that; whether it was.
    async fn save(&mut self, row: &Row, was: State) -> Result<bool, Fault>;
    /// The first and the last key.
    async fn ends(&mut self) -> Result<Option<(Key, Key)>, Fault>;
    /// The key of the row `rows` rows above `above`, but not above `up_to`.
    async fn end(&mut self, above: Option<&Key>, up_to: &Key, rows: u64) -> Result<End, Fault>;
    /// One transaction: the statement from `above` up to `next.above`, and `next` in
    /// the place of the row whose `above` is that, with the changed rows added.
    async fn batch(&mut self, above: Option<&Key>, next: &Row) -> Result<Batch, Fault>;
    /// Whether a row in this range still meets the statement's condition. Asked only
    /// of statements that tell.
    async fn left(&mut self, above: Option<&Key>, up_to: Option<&Key>) -> Result<bool, Fault>;
    /// How the database is, at the moment.
    async fn look(&mut self) -> Vec<Reading>;
}
