//! Replicas as processes of this machine: the image's own files and
//! entrypoint, no engine needed.
//!
//! Each instance has a folder ([`state`]), a supervisor process that outlives
//! the command that started it ([`supervise`]), and, where the kernel allows
//! it, a root of its own ([`enter`]). [`LocalFleet`] implements the seven
//! operations of a fleet; order, bounds and fencing are `rollout/core`'s.

pub mod enter;
mod error;
mod fleet;
mod image;
pub mod state;
pub mod supervise;

pub use error::{LocalError, PAGES};
pub use fleet::{LocalFleet, Options};
