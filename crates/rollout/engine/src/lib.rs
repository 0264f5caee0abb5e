//! Replicas as containers of a Docker Engine (API 1.41 and later) or Podman,
//! behind the environment's switch.
//!
//! ```text
//! fleet      the operations of a fleet, in calls of the engine
//!   image      is it there by digest? pulled, else loaded; always verified
//!   container  a container as it is asked for, and as it is found. Pure
//!   by_hand    what somebody has done to containers
//!   notes      what labels cannot hold: marks over an instance's life
//!   api        calls with time limits, and failures told apart
//! ```
//!
//! What an instance is lives in its container's labels, so that a new process
//! finds it again; order, bounds and fencing are `rollout/core`'s.

mod api;
mod by_hand;
mod container;
mod error;
mod fleet;
mod image;
mod notes;
mod pages;

pub use api::EngineVersion;
pub use by_hand::{ByHand, Differing};
pub use error::EngineError;
pub use fleet::{EngineFleet, Options};
pub use image::{Brought, Credential};
pub use pages::PAGES;
