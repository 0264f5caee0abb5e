//! VERDICT -> RUNNING: the rollout machine and what every target promises it.
//!
//! Two pure layers (design note 0001):
//!
//! 1. [`machine`] decides what *should be* next; it knows nothing of
//!    containers or pods: `step(plan, state, observed, now) -> (state, commands)`.
//! 2. A [`Target`] makes a [`Desired`] so and reports what is. `local` and
//!    `engine` share [`fleet`], which turns a desired state and a list of
//!    instances into operations.
//!
//! Deploying, resuming, reverting and rolling back are this one machine with
//! a different destination.

pub mod codes;
pub mod desired;
mod error;
pub mod executor;
pub mod fleet;
pub mod machine;
pub mod observed;
pub mod output;
pub mod plan;
pub mod ports;
mod recovery;
pub mod target;

pub use codes::PAGES;
pub use desired::{Desired, Share, Traffic};
pub use error::RolloutError;
pub use executor::{Outcome, execute};
pub use machine::{Phase, State, Stop, step};
pub use observed::{Cause, Failing, Fleet, Observed, Seen};
pub use plan::{Canary, Deadlines, Plan, PlanRecord};
pub use ports::{Clock, Journal, JournalError, Judge, Lease, Migrator, NoMetrics, NoMigrations, Ports};
pub use recovery::{Unfinished, unfinished};
pub use target::{Applied, BoxFuture, Fence, OutputLine, Target, TargetError};
