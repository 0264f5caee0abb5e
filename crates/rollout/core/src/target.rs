//! The contract between the machine and whatever runs instances.

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

use crate::{Desired, Observed};

/// A boxed future, so that [`Target`] can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The environment lock's fencing number: rises with every acquisition. A
/// target that has seen a higher one refuses a lower one, so a paused process
/// that wakes up cannot move an environment backwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub u64);

/// A target's answer to [`Target::apply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// Taken in; observe to see how far it has come.
    Accepted,
    /// A newer fence has been seen: somebody else owns the environment now.
    Fenced {
        /// The number seen.
        seen: Fence,
    },
}

/// A target that could not be asked or told. Nothing is known about what
/// took effect; observing again tells.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed on {target}: {reason}")]
pub struct TargetError {
    /// What was attempted, e.g. `create instance`.
    pub operation: String,
    /// The target in words, e.g. `the container engine at unix:///…`.
    pub target: String,
    /// What it said.
    pub reason: String,
    /// Whether trying again can help.
    pub transient: bool,
}

/// A line that an instance wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// The instance.
    pub instance: String,
    /// The line, without its end.
    pub text: String,
}

/// Something that runs instances of releases and sends traffic to them.
///
/// Both calls are idempotent and cancel-safe: dropping the future, calling
/// twice, or dying in between leaves a state that the next call goes on from.
pub trait Target: Send + Sync {
    /// Looks at what is.
    ///
    /// # Errors
    /// When the target cannot be asked. Never reports "nothing runs" instead.
    fn observe(&self) -> BoxFuture<'_, Result<Observed, TargetError>>;

    /// Makes progress towards `desired` and returns without waiting for
    /// instances to become ready; called again on every turn of the loop.
    ///
    /// # Errors
    /// When the target cannot be told.
    fn apply<'a>(&'a self, desired: &'a Desired, fence: Fence)
    -> BoxFuture<'a, Result<Applied, TargetError>>;

    /// Lines that these instances have written since the last call, oldest
    /// first, for people to follow. Returns at once: what takes time is fetched
    /// beside and comes with a later call. Bounded; lines may be left out, and
    /// a target that has none has none.
    fn new_lines(&self, of: &[&str]) -> Vec<OutputLine> {
        let _ = of;
        Vec::new()
    }

    /// Completes when another look may show something else, so that nobody waits
    /// for the next turn to see what is known already. A target that hears of
    /// nothing never completes, and is looked at from time to time all the same.
    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}
