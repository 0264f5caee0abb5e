//! What a database has to do for the ledger. Hashing, tree, checkpoints,
//! verification, views and the rules of locks are above it and know no SQL.

use std::ops::ControlFlow;

use jiff::Timestamp;
use plimsoll_model::Digest;

use crate::Error;
use crate::entry::Row;
use crate::lock::Holder;

/// The end of the ledger, replaced with every append in the same transaction
/// as the entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The ledger's own name, the origin of its checkpoints.
    pub origin: String,
    /// Ed25519 public key its checkpoints are signed with.
    pub public_key: [u8; 32],
    /// Number of entries.
    pub size: u64,
    /// Hash of the last entry; genesis when empty.
    pub hash: Digest,
    /// Peaks of the tree's frontier.
    pub peaks: Vec<Digest>,
    /// The newest signed checkpoint. Older ones are not kept here: each would
    /// excuse a truncation to its size.
    pub checkpoint: String,
}

/// What one append writes, all or nothing.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Consecutive entries.
    pub rows: Vec<Row>,
    /// The end after them.
    pub head: Head,
}

/// Which entries to visit. Absent conditions do not restrict.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Only these kinds; empty: all.
    pub kinds: Vec<&'static str>,
    /// Only of this environment.
    pub environment: Option<String>,
    /// Only about this commit.
    pub sha: Option<String>,
    /// Only of this rollout.
    pub rollout: Option<String>,
    /// Only with this projected outcome.
    pub outcome: Option<&'static str>,
    /// Only with this projected repository type.
    pub repository_type: Option<String>,
    /// Only with this idempotency key.
    pub idempotency: Option<String>,
    /// Only `rollout.started` and `build.started` that nothing later ends.
    pub open: bool,
    /// Only from this position on.
    pub from: Option<u64>,
    /// Only up to this position.
    pub to: Option<u64>,
    /// Newest first instead of oldest first.
    pub newest_first: bool,
    /// At most so many.
    pub limit: Option<u64>,
    /// Leave bodies out (they come empty).
    pub without_body: bool,
}

/// One environment's lock as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockRow {
    /// Fencing number of the newest acquisition.
    pub fence: u64,
    /// Who holds it; `None` once released.
    pub held: Option<Held>,
}

/// A held lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Who.
    pub holder: Holder,
    /// Since when.
    pub since: Timestamp,
    /// Until when unless renewed.
    pub lease_until: Timestamp,
}

/// The end, and whether the entries bear it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The recorded end.
    pub head: Head,
    /// Position and hash of the last entry that is really there.
    pub last: Option<(u64, Digest)>,
    /// The lock that [`Store::append`] was asked to look at, as it stands in
    /// the transaction that writes.
    pub lock: Option<LockRow>,
}

/// Decides what an append writes, given the end it is appended to. `None`
/// writes nothing.
pub type Prepare<'a> = dyn FnMut(&End) -> Result<Option<Batch>, Error> + 'a;
/// Sees one row.
pub type Visit<'a> = dyn FnMut(Row) -> Result<ControlFlow<()>, Error> + 'a;
/// Decides what becomes of a lock, given its row and the highest fence ever
/// given out by this ledger. `None` leaves it.
pub type Decide<'a> = dyn FnMut(Option<&LockRow>, u64) -> Option<LockRow> + 'a;

/// A durable place for entries and locks.
///
/// Several processes may use one store at once; each method is one transaction.
pub trait Store: Send {
    /// The end.
    ///
    /// # Errors
    /// Those of the database.
    fn end(&mut self) -> Result<End, Error>;

    /// Calls `prepare` once as the only writer, with the end and, where asked
    /// for, an environment's lock ([`End::lock`]), and writes what it answers;
    /// durable when it returns.
    ///
    /// # Errors
    /// Those of `prepare` (nothing written) and of the database (written or not).
    fn append(&mut self, lock_of: Option<&str>, prepare: &mut Prepare<'_>) -> Result<(), Error>;

    /// Visits entries by position, streaming.
    ///
    /// # Errors
    /// Those of the database and of `visit`.
    fn scan(&mut self, query: &Query, visit: &mut Visit<'_>) -> Result<(), Error>;

    /// A lock's row. With `decide`: calls it once as the only writer, and stores
    /// what it answers before returning the row as it was.
    ///
    /// # Errors
    /// Those of the database.
    fn lock(&mut self, environment: &str, decide: Option<&mut Decide<'_>>) -> Result<Option<LockRow>, Error>;

    /// Looks for damage beneath the entries: indexes that hide or invent some.
    /// What it found, in the database's words.
    ///
    /// # Errors
    /// Those of the database.
    fn inspect(&mut self) -> Result<Option<String>, Error>;
}
