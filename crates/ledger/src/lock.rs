//! Environment locks with lease and fencing.
//!
//! At most one holder per environment while its lease runs. Each acquisition
//! gets a fencing number higher than every one given out before, in any
//! environment, for ever; whatever acts for the holder carries it, and what is
//! acted on refuses a lower one. So a paused process that wakes up after its
//! lease was taken over cannot act any more.
//!
//! The rules here are pure; time is an argument.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::store::{Held, LockRow};

/// Who holds or wants a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Person or service.
    pub who: String,
    /// Machine.
    pub host: String,
    /// Process.
    pub pid: u32,
    /// Command line.
    pub command: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {} (process {}, `{}`)", self.who, self.host, self.pid, self.command)
    }
}

/// A lock as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Its fencing number.
    pub fence: u64,
    /// Who holds it.
    pub holder: Holder,
    /// Since when.
    pub since: Timestamp,
    /// Until when unless renewed.
    pub lease_until: Timestamp,
}

/// What came of asking for a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquisition {
    /// It is yours.
    Acquired {
        /// Your lock, with its fence.
        lock: Lock,
        /// Whose expired lease it was taken over from, if anybody's.
        displaced: Option<Lock>,
    },
    /// It is somebody else's until its lease ends.
    HeldBy(Lock),
}

fn lock_of(row: &LockRow) -> Option<Lock> {
    row.held.as_ref().map(|held| Lock {
        fence: row.fence,
        holder: held.holder.clone(),
        since: held.since,
        lease_until: held.lease_until,
    })
}

/// The lock in a row, if held (also when its lease is over and nobody took it).
pub(crate) fn current(row: Option<&LockRow>) -> Option<Lock> {
    row.and_then(lock_of)
}

/// Refuses a fence that is older than the newest one given out.
pub(crate) fn not_newer(environment: &str, row: Option<&LockRow>, fence: u64) -> Result<(), Error> {
    match row {
        Some(row) if row.fence > fence => Err(Error::LockLost {
            environment: environment.into(),
            fence,
            newest: row.fence,
            holder: row.held.as_ref().map(|held| held.holder.to_string()),
        }),
        _ => Ok(()),
    }
}

/// Asks for the lock. `highest` is the highest fence ever given out.
pub(crate) fn acquire(
    row: Option<&LockRow>,
    highest: u64,
    holder: &Holder,
    lease: Duration,
    now: Timestamp,
) -> (Acquisition, Option<LockRow>) {
    let held = current(row);
    if let Some(lock) = held.as_ref().filter(|lock| now < lock.lease_until) {
        return (Acquisition::HeldBy(lock.clone()), None);
    }
    let fence = highest.max(row.map_or(0, |row| row.fence)) + 1;
    let new = Held { holder: holder.clone(), since: now, lease_until: end_of(lease, now) };
    let row = LockRow { fence, held: Some(new) };
    let lock = lock_of(&row).expect("it was just given a holder");
    (Acquisition::Acquired { lock, displaced: held }, Some(row))
}

/// Extends the lease. An expired lease that nobody took over may be renewed:
/// nobody else can have acted under a higher fence.
pub(crate) fn renew(
    environment: &str,
    row: Option<&LockRow>,
    fence: u64,
    lease: Duration,
    now: Timestamp,
) -> Result<(Lock, LockRow), Error> {
    let mut row = holding(environment, row, fence)?;
    if let Some(held) = &mut row.held {
        held.lease_until = end_of(lease, now).max(held.lease_until);
    }
    let lock = lock_of(&row).expect("holding() only answers held rows");
    Ok((lock, row))
}

/// Gives the lock back; its fence stays.
pub(crate) fn release(environment: &str, row: Option<&LockRow>, fence: u64) -> Result<LockRow, Error> {
    Ok(LockRow { held: None, ..holding(environment, row, fence)? })
}

fn holding(environment: &str, row: Option<&LockRow>, fence: u64) -> Result<LockRow, Error> {
    match row {
        Some(row) if row.fence == fence && row.held.is_some() => Ok(row.clone()),
        row => Err(Error::LockLost {
            environment: environment.into(),
            fence,
            newest: row.map_or(0, |row| row.fence),
            holder: current(row).map(|lock| lock.holder.to_string()),
        }),
    }
}

fn end_of(lease: Duration, now: Timestamp) -> Timestamp {
    SignedDuration::try_from(lease)
        .ok()
        .and_then(|lease| now.checked_add(lease).ok())
        .unwrap_or(Timestamp::MAX)
}
