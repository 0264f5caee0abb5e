//! What the executor needs of the world besides the [`Target`]: time, the
//! lock, the ledger, the watch, migrations.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_health::Decided;
use plimsoll_model::progress::MetricRow;
use plimsoll_model::{Event, Observer};

use crate::machine::{LockStatus, Migrations, Verdict};
use crate::{BoxFuture, Fence, Plan, Target};

/// Time, real or simulated.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// Completes after this long.
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()>;
}

/// The environment's lock, held by a lease that has to be renewed.
pub trait Lease: Send + Sync {
    /// Takes the lock or renews the lease and says how it stands. Does not
    /// wait for another holder. Once a lease this process held may have run
    /// out, the answer is [`LockStatus::Lost`] or a higher fence, never
    /// [`LockStatus::Unknown`].
    fn hold(&self) -> BoxFuture<'_, LockStatus>;

    /// Gives the lock back; a failure is left to the lease's end.
    fn release(&self) -> BoxFuture<'_, ()>;

    /// How often the lease has to be renewed, well below its length.
    fn renew_every(&self) -> Duration;
}

/// Why an entry was not written, or may not have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The lock has a newer owner; nothing was written.
    #[error("the environment's lock has a newer owner, fence {}", seen.0)]
    Fenced {
        /// Its fence.
        seen: Fence,
    },
    /// It may or may not have been written.
    #[error("{0}")]
    Failed(String),
}

/// The ledger, as the executor writes it.
pub trait Journal: Send + Sync {
    /// Appends an entry durably, unless the lock has a newer owner than
    /// `fence`: checked in the transaction that writes.
    ///
    /// # Errors
    /// When it was refused, or may not have been written.
    fn append<'a>(&'a self, event: &'a Event, fence: Fence) -> BoxFuture<'a, Result<(), JournalError>>;
}

/// The watch over the candidate (DEP-6).
pub trait Judge: Send + Sync {
    /// Compares candidate and stable over the last `window_sec` seconds;
    /// `complete` when the bake time is over. What cannot be asked is
    /// [`Verdict::InsufficientData`].
    fn judge<'a>(&'a self, plan: &'a Plan, window_sec: u32, complete: bool) -> BoxFuture<'a, Verdict>;

    /// Keeps what the last verdict rests on, with what was decided on it. Called
    /// before that is done. What cannot be kept changes no decision.
    fn record<'a>(&'a self, plan: &'a Plan, decided: &'a Decided) -> BoxFuture<'a, ()> {
        let _ = (plan, decided);
        Box::pin(std::future::ready(()))
    }

    /// What the last verdict rests on, metric by metric, for people to follow.
    /// Returns at once; empty where nothing is counted.
    fn counts(&self) -> Vec<MetricRow> {
        Vec::new()
    }
}

/// A watch without metrics: deterministic signals decide alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMetrics;

impl Judge for NoMetrics {
    fn judge<'a>(&'a self, _: &'a Plan, _: u32, complete: bool) -> BoxFuture<'a, Verdict> {
        let verdict = if complete {
            Verdict::NoEvidence
        } else {
            Verdict::InsufficientData("the bake time is not over".into())
        };
        Box::pin(std::future::ready(verdict))
    }
}

/// The release's migrations.
pub trait Migrator: Send + Sync {
    /// How they stand.
    fn status(&self) -> BoxFuture<'_, Migrations>;

    /// Runs what is pending. Idempotent and cancel-safe; how it ended is what
    /// [`Migrator::status`] says next.
    fn run(&self) -> BoxFuture<'_, ()>;
}

/// A release without migrations.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMigrations;

impl Migrator for NoMigrations {
    fn status(&self) -> BoxFuture<'_, Migrations> {
        Box::pin(std::future::ready(Migrations::None))
    }

    fn run(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Everything the executor works with.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// What runs instances.
    pub target: &'a dyn Target,
    /// The ledger.
    pub journal: &'a dyn Journal,
    /// The environment's lock.
    pub lease: &'a dyn Lease,
    /// The watch.
    pub judge: &'a dyn Judge,
    /// The migrations.
    pub migrator: &'a dyn Migrator,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Where progress goes.
    pub observer: &'a dyn Observer,
    /// Set when a person wants the rollout stopped and undone.
    pub interrupt: &'a AtomicBool,
    /// How long to wait between two looks.
    pub poll: Duration,
}

impl std::fmt::Debug for Ports<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").field("poll", &self.poll).finish_non_exhaustive()
    }
}
