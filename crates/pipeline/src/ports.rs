//! The executor's ports on the real world: ledger, lock, clock.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_ledger::{Acquisition, Holder, Ledger};
use plimsoll_model::Event;
use plimsoll_rollout_core::machine::{LockStatus, Verdict};
use plimsoll_rollout_core::{BoxFuture, Clock, Fence, Journal, JournalError, Judge, Lease, Plan};

use crate::context::LEASE;
use crate::presence::Presence;

/// The wall clock and real waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// The judge where what was declared cannot be looked at while both releases
/// serve: that is what is said and recorded. No data is never a pass (DEP-6).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unread;

impl Judge for Unread {
    fn judge<'a>(&'a self, _: &'a Plan, _: u32, _: bool) -> BoxFuture<'a, Verdict> {
        let why = "both releases did not serve side by side (`bake` is 0s, or a StatefulSet of one pod); crashes and failed probes alone \
                   decided";
        Box::pin(std::future::ready(Verdict::InsufficientData(why.into())))
    }
}

/// The ledger as the executor writes it.
pub(crate) struct LedgerJournal {
    pub(crate) ledger: Ledger,
    pub(crate) actor: String,
    pub(crate) environment: String,
}

impl Journal for LedgerJournal {
    fn append<'a>(&'a self, event: &'a Event, fence: Fence) -> BoxFuture<'a, Result<(), JournalError>> {
        Box::pin(async move {
            let (ledger, actor) = (self.ledger.clone(), self.actor.clone());
            let (environment, event) = (self.environment.clone(), event.clone());
            let written = tokio::task::spawn_blocking(move || {
                ledger.append_fenced(&actor, &event, &environment, fence.0)
            })
            .await
            .map_err(|_| JournalError::Failed("the ledger's thread ended unexpectedly".into()))?;
            match written {
                Ok(_) => Ok(()),
                Err(plimsoll_ledger::Error::LockLost { newest, .. }) => {
                    Err(JournalError::Fenced { seen: Fence(newest) })
                }
                Err(error) => Err(JournalError::Failed(error.to_string())),
            }
        })
    }
}

/// The environment's lock, as a lease in the ledger's database.
pub(crate) struct LedgerLease {
    ledger: Ledger,
    environment: String,
    holder: Holder,
    presence: Arc<Presence>,
    held: Mutex<Option<Held>>,
}

#[derive(Clone, Copy)]
struct Held {
    fence: u64,
    /// When the lease ends by this process's own steady clock; earlier than
    /// the ledger's own bound, since it was read before asking.
    until: Instant,
}

impl LedgerLease {
    pub(crate) fn new(ledger: Ledger, environment: String, holder: Holder, presence: Presence) -> Self {
        Self { ledger, environment, holder, presence: Arc::new(presence), held: Mutex::default() }
    }

    /// The environment it locks.
    pub(crate) fn environment(&self) -> &str {
        &self.environment
    }

    /// The fencing number of what is held.
    pub(crate) fn fence(&self) -> Option<u64> {
        self.held().map(|held| held.fence)
    }

    fn held(&self) -> Option<Held> {
        *self.held.lock().expect("no holder of this lock panics")
    }

    fn set(&self, held: Option<Held>) {
        *self.held.lock().expect("no holder of this lock panics") = held;
    }
}

/// Asks for the lock; one whose holder is known to be gone is taken over.
fn acquire(
    ledger: &Ledger,
    environment: &str,
    holder: &Holder,
    presence: &Presence,
) -> Result<Acquisition, plimsoll_ledger::Error> {
    let present = presence.take();
    let mut answer = ledger.acquire(environment, holder, LEASE, Timestamp::now())?;
    if let Acquisition::HeldBy(lock) = &answer
        && present
        && presence.left_fence() == Some(lock.fence)
    {
        let gone = lock.clone();
        // Refused when somebody else was faster, who then is the answer.
        let _ = ledger.release(environment, gone.fence);
        answer = match ledger.acquire(environment, holder, LEASE, Timestamp::now())? {
            Acquisition::Acquired { lock, .. } => Acquisition::Acquired { lock, displaced: Some(gone) },
            held => held,
        };
    }
    match &answer {
        Acquisition::Acquired { lock, .. } => presence.mark(lock.fence),
        Acquisition::HeldBy(_) => presence.leave(),
    }
    Ok(answer)
}

impl Lease for LedgerLease {
    fn hold(&self) -> BoxFuture<'_, LockStatus> {
        Box::pin(async {
            let asked = Instant::now();
            let before = self.held();
            let (ledger, environment, holder) =
                (self.ledger.clone(), self.environment.clone(), self.holder.clone());
            let presence = self.presence.clone();
            let answer = tokio::task::spawn_blocking(move || match before {
                Some(held) => ledger
                    .renew(&environment, held.fence, LEASE, Timestamp::now())
                    .map(|lock| Acquisition::Acquired { lock, displaced: None }),
                None => acquire(&ledger, &environment, &holder, &presence),
            })
            .await;
            match answer {
                Ok(Ok(Acquisition::Acquired { lock, displaced })) => {
                    if let Some(displaced) = displaced {
                        tracing::warn!(holder = %displaced.holder, "took over a lock that was not given back");
                    }
                    self.set(Some(Held { fence: lock.fence, until: asked + LEASE }));
                    LockStatus::Held { fence: Fence(lock.fence) }
                }
                Ok(Ok(Acquisition::HeldBy(lock))) => {
                    LockStatus::HeldByOther { holder: lock.holder.to_string(), since: lock.since }
                }
                Ok(Err(plimsoll_ledger::Error::LockLost { .. })) => {
                    self.set(None);
                    LockStatus::Lost
                }
                // Cannot be asked: still ours while the lease cannot have ended.
                Ok(Err(error)) => self.unasked(before, error.to_string()),
                Err(error) => self.unasked(before, error.to_string()),
            }
        })
    }

    fn release(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let Some(held) = self.held() else { return };
            self.set(None);
            let (ledger, environment) = (self.ledger.clone(), self.environment.clone());
            let released =
                tokio::task::spawn_blocking(move || ledger.release(&environment, held.fence)).await;
            self.presence.leave();
            if let Ok(Err(error)) = released {
                tracing::warn!(%error, "the lock was not given back; it ends with its lease");
            }
        })
    }

    fn renew_every(&self) -> Duration {
        LEASE / 6
    }
}

impl LedgerLease {
    fn unasked(&self, before: Option<Held>, why: String) -> LockStatus {
        match before {
            Some(held) if Instant::now() >= held.until => {
                self.set(None);
                LockStatus::Lost
            }
            _ => LockStatus::Unknown(why),
        }
    }
}
